// Exact assignment of two point clouds of equal size in many dimensions, with most of the work in float.
//
// A float matrix product gives all costs to a proven error delta_i a row (below); the dense solver finds an assignment
// that is optimal for them. Its potentials are optimal for the true costs but for a few delta, so the exact solve on
// short lists (ot/short_list_assignment.h) has next to nothing left to do, and a list's bound, the least float reduced
// cost off the list less delta_i, holds for the true costs. 2 n^2 d FLOPs in float and n^2 floats of memory replace
// 3 n^2 d FLOPs in double and n^2 doubles; the double costs of some 16 pairs a row are computed from the points.
//
// With points centred and rounded to float, x' and y', u = 2^-24: |y'|^2 - 2 x'.y' in float differs from the true
// cost less |x'|^2 by at most delta_i = (d + 8) u (2 |x'_i| max|y'| + max|y'|^2 + |x'_i|^2): a sum of d products in any
// order is right to d u times the sum of their sizes (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), and
// the rounding of the points, of the squares and of the difference are among the 8.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/stream.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/dense_assignment.h"
#include "ot/short_list_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {

class ScreenedAssignment {
 public:
  /// Whether it can take the problem: points, n = m, squared Euclidean or negative dot product cost.
  static bool takes(const Problem& problem);

  /// Fills sigma, f, g, iterations (augmenting paths, of both solves) and status. n >= 1, d >= 1, finite points whose
  /// costs are in float's range: returns false, with nothing done, where they are not.
  bool solve(const Problem& problem, const SolveLimits& limits, int threads, Assignment& result);

 private:
  class ScreenedColumns : public NearestColumns {
   public:
    explicit ScreenedColumns(ScreenedAssignment& owner) : owner_(owner) {}
    double nearest(std::int64_t row, std::int64_t k, std::vector<Arc>& arcs) override {
      return owner_.nearest(row, k, reduced_, least_, arcs);
    }

   private:
    ScreenedAssignment& owner_;
    std::vector<float> reduced_, least_;
  };

  bool screen(const Problem& problem);
  double nearest(std::int64_t row, std::int64_t k, std::vector<float>& reduced, std::vector<float>& least,
                 std::vector<Arc>& arcs) const;
  double cost(std::int64_t i, std::int64_t j) const;

  std::optional<Stream> stream_;
  Cost kind_ = Cost::squared_euclidean;
  std::int64_t n_ = 0, dimension_ = 0;
  std::vector<double> source_, target_;                 // [n, d], as given
  std::vector<float> centred_source_, centred_target_;  // [n, d]; the source times -2, or -1 for a dot product
  std::vector<float> column_square_, screen_;           // [n] |y'|^2, and [n, n] the costs without |x'|^2
  std::vector<double> row_square_, row_error_;          // [n] |x'|^2 and delta_i
  std::vector<double> g_;
  DenseAssignment<float> dense_;
  ShortListAssignment assignment_;
};

}  // namespace otnfm
