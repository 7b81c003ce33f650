// 4 FLOPs an element of W and iteration, and W is read twice: bound by the cache that W lies in. The threads share out
// the matrices, never a matrix, so the order of every sum is a function of the shape alone.
#include "kernels/power_iteration.h"

#include <cmath>

#include "kernels/cpu/lanes.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

double norm_of(const float* x, std::int64_t n) {
  return std::sqrt(sum_lanes<double>(n, [&](const auto& load) {
    const auto value = load(x);
    return value * value;
  }));
}

void scale_by(double factor, float* x, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) x[j] = static_cast<float>(x[j] * factor);
}

/// u <- W v. Returns ||W v - sigma u|| with the u of before.
double multiply(const float* W, const SpectralMatrix& m, const float* v, double sigma, float* u) {
  double residual = 0;
  for (std::int64_t i = 0; i < m.rows; ++i) {
    const float* row = W + i * m.columns;
    const float product = sum_lanes<float>(m.columns, [&](const auto& load) { return load(row) * load(v); });
    const double difference = product - sigma * u[i];
    residual += difference * difference;
    u[i] = product;
  }
  return std::sqrt(residual);
}

/// v <- W^T u
void multiply_transposed(const float* W, const SpectralMatrix& m, const float* u, float* v) {
  std::fill(v, v + m.columns, 0.0f);
  for (std::int64_t i = 0; i < m.rows; ++i) {
    const float* row = W + i * m.columns;
    for (std::int64_t j = 0; j < m.columns; ++j) v[j] += u[i] * row[j];
  }
}

float largest_singular_value(const PowerIteration& a, const SpectralMatrix& m) {
  const float* W = a.weights.data + m.weight;
  float *u = a.left.data + m.left, *v = a.right.data + m.right;
  if (v != a.start.data + m.right) std::copy_n(a.start.data + m.right, m.columns, v);
  std::fill(u, u + m.rows, 0.0f);
  double sigma = 0, residual = 0;
  for (int k = 0; k < a.iterations; ++k) {
    residual = multiply(W, m, v, sigma, u);
    const double norm = norm_of(u, m.rows);
    if (!(norm > kLeastNorm)) {
      std::fill(u, u + m.rows, 0.0f);
      return 0.0f;
    }
    scale_by(1 / norm, u, m.rows);
    if (a.tolerance > 0 && k > 0 && residual <= a.tolerance * norm) return static_cast<float>(norm + residual);
    multiply_transposed(W, m, u, v);
    sigma = norm_of(v, m.columns);
    scale_by(1 / sigma, v, m.columns);
  }
  return static_cast<float>(a.tolerance > 0 ? sigma + residual : sigma);
}

}  // namespace

void power_iteration(Stream&, const PowerIteration& a) {
  std::int64_t elements = 0;
  for (int k = 0; k < a.count; ++k) elements += a.matrices[k].rows * a.matrices[k].columns;
  const std::int64_t grain = elements * a.iterations > host::kElementGrain ? 1 : a.count;
  host::parallel_ranges(a.count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) a.sigma.data[k] = largest_singular_value(a, a.matrices[k]);
  });
}

}  // namespace otnfm::cpu
