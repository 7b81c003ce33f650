#include "ot/mixing.h"

#include <algorithm>
#include <cmath>

namespace otnfm {
namespace {

// Added to the diagonal, relatively: differences of residuals become parallel towards the end.
constexpr double kRidge = 1e-10;

double product(const std::vector<double>& weights, const std::vector<double>& x, const std::vector<double>& y) {
  constexpr std::size_t kLanes = 8;
  double part[kLanes] = {}, rest = 0;
  std::size_t j = 0;
  for (; j + kLanes <= x.size(); j += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) part[lane] += weights[j + lane] * x[j + lane] * y[j + lane];
  for (; j < x.size(); ++j) rest += weights[j] * x[j] * y[j];
  for (const double value : part) rest += value;
  return rest;
}

}  // namespace

void AndersonMixing::reset(std::span<const double> weights) {
  weights_.assign(weights.begin(), weights.end());
  forget();
}

void AndersonMixing::advance(std::span<double> x, std::span<const double> mapped) {
  residual_.resize(x.size());
  for (std::size_t j = 0; j < x.size(); ++j) residual_[j] = mapped[j] - x[j];
  double gamma[kDepth] = {};
  int depth = 0;
  if (count_ > 0) {
    const auto slot = static_cast<std::size_t>((count_ - 1) % kDepth);
    auto &step = mapped_steps_[slot], &change = residual_steps_[slot];
    step.resize(x.size());
    change.resize(x.size());
    for (std::size_t j = 0; j < x.size(); ++j) {
      step[j] = mapped[j] - last_mapped_[j];
      change[j] = residual_[j] - last_residual_[j];
    }
    depth = static_cast<int>(std::min<std::int64_t>(count_, kDepth));
    for (int k = 0; k < depth; ++k)
      products_[slot][k] = products_[k][slot] = product(weights_, change, residual_steps_[k]);
    // Normal equations by elimination: symmetric and positive definite with the ridge, so no pivoting.
    double a[kDepth][kDepth], b[kDepth];
    for (int r = 0; r < depth; ++r) {
      for (int c = 0; c < depth; ++c) a[r][c] = products_[r][c];
      a[r][r] *= 1 + kRidge;
      b[r] = product(weights_, residual_steps_[r], residual_);
    }
    bool solvable = true;
    for (int r = 0; r < depth && solvable; ++r) {
      solvable = a[r][r] > kRidge * 1e-3 * products_[r][r];
      for (int below = r + 1; below < depth && solvable; ++below) {
        const double factor = a[below][r] / a[r][r];
        for (int c = r; c < depth; ++c) a[below][c] -= factor * a[r][c];
        b[below] -= factor * b[r];
      }
    }
    for (int r = depth - 1; r >= 0 && solvable; --r) {
      double sum = b[r];
      for (int c = r + 1; c < depth; ++c) sum -= a[r][c] * gamma[c];
      gamma[r] = sum / a[r][r];
    }
    if (!solvable) {
      depth = 0;
      count_ = 0;
    }
  }
  last_mapped_.assign(mapped.begin(), mapped.end());
  last_residual_ = residual_;
  std::copy(mapped.begin(), mapped.end(), x.begin());
  for (int k = 0; k < depth; ++k)
    for (std::size_t j = 0; j < x.size(); ++j) x[j] -= gamma[k] * mapped_steps_[k][j];
  ++count_;
}

}  // namespace otnfm
