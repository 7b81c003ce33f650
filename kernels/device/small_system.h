// A small symmetric, positive definite system, as Anderson's mixing has: elimination without pivoting.
#pragma once

#include "kernels/device/host_device.h"

namespace otnfm {

/// Solves the leading n x n part; matrix and right side are overwritten. False, with the solution undefined, where a
/// pivot is not above `least` times its diagonal: then it is mostly rounding.
template <int kMost>
OTNFM_HD bool solve_small_system(double (&matrix)[kMost][kMost], double (&right)[kMost], int n, double least,
                                 double (&solution)[kMost]) {
  double smallest[kMost];
  for (int r = 0; r < n; ++r) smallest[r] = least * matrix[r][r];
  for (int r = 0; r < n; ++r) {
    if (!(matrix[r][r] > smallest[r])) return false;
    for (int below = r + 1; below < n; ++below) {
      const double factor = matrix[below][r] / matrix[r][r];
      for (int c = r; c < n; ++c) matrix[below][c] -= factor * matrix[r][c];
      right[below] -= factor * right[r];
    }
  }
  for (int r = n - 1; r >= 0; --r) {
    double sum = right[r];
    for (int c = r + 1; c < n; ++c) sum -= matrix[r][c] * solution[c];
    solution[r] = sum / matrix[r][r];
  }
  return true;
}

}  // namespace otnfm
