#include "ot/costs/gibbs_exponents.h"

#include <algorithm>
#include <cmath>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/widen.h"
#include "ot/loops/loops.h"

namespace otnfm {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{16} << 20;  // of a computed block: it stays in the last cache

template <class Body>
void with_points(const AnyMatrix& points, const Body& body) {
  switch (points.dtype) {
    case DType::float32:
      return body(static_cast<const float*>(points.data));
    case DType::bfloat16:
      return body(static_cast<const bfloat16*>(points.data));
    default:
      return body(static_cast<const double*>(points.data));
  }
}

HostVector<double> mean_of(const AnyMatrix& points) {
  HostVector<double> mean(static_cast<std::size_t>(points.columns), 0.0);
  with_points(points, [&](const auto* data) {
    for (std::int64_t i = 0; i < points.rows; ++i)
      for (std::int64_t k = 0; k < points.columns; ++k)
        mean[static_cast<std::size_t>(k)] += widen(data[i * points.row_stride + k]);
  });
  for (double& value : mean) value /= static_cast<double>(std::max<std::int64_t>(1, points.rows));
  return mean;
}

// (points - mean) * scale in float32; offset_i = per_row(i, the rounded coordinates over scale).
template <class PerRow>
void centre_points(const AnyMatrix& points, const HostVector<double>& mean, double scale, HostVector<float>& out,
                   const PerRow& per_row) {
  const std::int64_t d = points.columns;
  out.resize(static_cast<std::size_t>(points.rows * d));
  with_points(points, [&](const auto* data) {
    host::parallel_rows(points.rows, d, [&](std::int64_t begin, std::int64_t end) {
      HostVector<double> exact(static_cast<std::size_t>(d));
      for (std::int64_t i = begin; i < end; ++i) {
        float* row = out.data() + i * d;
        for (std::int64_t k = 0; k < d; ++k) {
          const auto at = static_cast<std::size_t>(k);
          row[k] = static_cast<float>((widen(data[i * points.row_stride + k]) - mean[at]) * scale);
          exact[at] = static_cast<double>(row[k]) / scale;
        }
        per_row(i, exact);
      }
    });
  });
}

}  // namespace

void GibbsExponents::reset(const Problem& problem, double epsilon, std::int64_t most_bytes, const SolveLimits* limits) {
  problem_ = problem;
  n_ = problem.n();
  m_ = problem.m();
  stride_ = (m_ + kFloatBlock - 1) / kFloatBlock * kFloatBlock;
  epsilon_ = epsilon;
  scale_ = kLog2E / epsilon;
  product_ = !problem.has_matrix && problem.cost != Cost::euclidean;
  alpha_.assign(static_cast<std::size_t>(n_), 0.0);
  beta_.assign(static_cast<std::size_t>(m_), 0.0);
  const std::int64_t row_bytes = stride_ * static_cast<std::int64_t>(sizeof(float));
  block_rows_ = n_ <= most_bytes / row_bytes ? n_ : std::min(n_, std::max<std::int64_t>(64, kBlockBytes / row_bytes));
  if (product_) {
    centre();
    packed_ = false;
  } else {
    costs_.reset(problem_, false);
    // A row's least cost is where its mass is, and rounds least if it is 0.
    SharedLimits shared(limits);
    host::parallel_rows(n_, m_, [&](std::int64_t begin, std::int64_t end) {
      HostVector<double> row(static_cast<std::size_t>(m_));
      std::int64_t unchecked = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        shared.check(m_ * (1 + problem_.dimension()), unchecked);
        costs_.tile(i, 1, row.data(), m_);
        const double least = *std::min_element(row.begin(), row.end());
        alpha_[static_cast<std::size_t>(i)] = std::isfinite(least) ? least : 0;  // a row may forbid all its pairs
      }
    });
  }
  if (stored()) {
    reserve(n_);
    fill(0, n_, limits);
  }
}

void GibbsExponents::absorb(std::span<const double> f, std::span<const double> g, const SolveLimits* limits) {
  alpha_.assign(f.begin(), f.end());
  beta_.assign(g.begin(), g.end());
  if (product_) costs_.reset(problem_, false);
  product_ = false;
  if (stored()) fill(0, n_, limits);
}

void GibbsExponents::reserve(std::int64_t rows) {
  const auto bytes = static_cast<std::size_t>(rows * stride_) * sizeof(float);
  if (memory_.bytes() < bytes) {
    memory_ = Memory();  // the old one goes first
    memory_ = Memory(Device::cpu, bytes, "the exponents of Sinkhorn's kernel");
  }
}

// With x = x' + p and y = y' + q, where p and q are the means and D = p - q,
//     |x - y|^2 = |x' + D|^2 + (|y'|^2 - 2 y'.D) - 2 x'.y'      -x.y = -(x' + p).q - p.y' - x'.y'
void GibbsExponents::centre() {
  const HostVector<double> p = mean_of(problem_.source), q = mean_of(problem_.target);
  const bool square = problem_.cost == Cost::squared_euclidean;
  const double scale = std::sqrt(scale_ * (square ? 2 : 1));
  const auto norm = [](const HostVector<double>& v) {
    double sum = 0;
    for (double value : v) sum += value * value;
    return std::sqrt(sum);
  };
  HostVector<double> apart(p.size());
  for (std::size_t k = 0; k < p.size(); ++k) apart[k] = p[k] - q[k];
  mean_norm_[0] = norm(p);
  mean_norm_[1] = norm(q);
  mean_distance_ = norm(apart);
  source_norm_.resize(static_cast<std::size_t>(n_));
  HostVector<double> target_norm(static_cast<std::size_t>(m_));
  centre_points(problem_.source, p, scale, source_, [&](std::int64_t i, const HostVector<double>& x) {
    double sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
      const double moved = x[k] + p[k] - q[k];
      sum += square ? moved * moved : -(x[k] + p[k]) * q[k];
    }
    alpha_[static_cast<std::size_t>(i)] = sum;
    source_norm_[static_cast<std::size_t>(i)] = norm(x);
  });
  centre_points(problem_.target, q, scale, target_, [&](std::int64_t j, const HostVector<double>& y) {
    double sum = 0;
    for (std::size_t k = 0; k < y.size(); ++k) sum += square ? y[k] * (y[k] - 2 * (p[k] - q[k])) : -p[k] * y[k];
    beta_[static_cast<std::size_t>(j)] = sum;
    target_norm[static_cast<std::size_t>(j)] = norm(y);
  });
  target_norm_ = m_ > 0 ? *std::max_element(target_norm.begin(), target_norm.end()) : 0;
}

// The product: a float sum of d terms in any order is right to d u times the sum of their sizes (Higham, Accuracy and
// Stability of Numerical Algorithms, 3.1), which is at most |x'| |y'|. The points: rounding moves x by at most u |x'|
// and y by u |y'|, and a cost by that times its slope. A tenth on top for terms of the order of u^2.
double GibbsExponents::error(std::int64_t i) const {
  if (!product_) return 0;
  constexpr double kUnit = 0x1p-24;
  const double x = source_norm_[static_cast<std::size_t>(i)], y = target_norm_;
  const bool square = problem_.cost == Cost::squared_euclidean;
  const double product = static_cast<double>(problem_.dimension() + 2) * (square ? 2 : 1) * x * y;
  const double points =
      square ? 2 * (x + y) * (x + y + mean_distance_) : x * (y + mean_norm_[1]) + y * (x + mean_norm_[0]);
  return 1.1 * kUnit * (product + points);
}

void GibbsExponents::fill(std::int64_t first, std::int64_t count, const SolveLimits* limits) {
  if (product_)
    multiply(first, count, limits);
  else
    fill_from_rows(first, count, limits);
  for (std::int64_t i = 0; i < count && m_ < stride_; ++i)
    std::fill(values() + i * stride_ + m_, values() + (i + 1) * stride_, 0.0f);
}

void GibbsExponents::multiply(std::int64_t first, std::int64_t count, const SolveLimits* limits) {
  constexpr std::int64_t kRows = Panels::kBlockRows;
  const std::int64_t d = problem_.dimension();
  if (!packed_) panels_.pack(target_, m_, d);
  packed_ = true;
  SharedLimits shared(limits);
  host::parallel_ranges((count + kRows - 1) / kRows, panels_.grain(), [&](std::int64_t begin, std::int64_t end) {
    std::int64_t unchecked = 0;
    for (std::int64_t i = begin * kRows; i < std::min(count, end * kRows); i += kRows) {
      const std::int64_t height = std::min(kRows, count - i);
      shared.check(height * m_ * (1 + d / 16), unchecked);
      panels_.multiply(source_.data() + (first + i) * d, height, values() + i * stride_, stride_);
    }
  });
}

void GibbsExponents::fill_from_rows(std::int64_t first, std::int64_t count, const SolveLimits* limits) {
  constexpr std::int64_t kTile = 16;
  constexpr double kMost = 1e30;  // an exponent that is infinite for every purpose
  SharedLimits shared(limits);
  host::parallel_ranges((count + kTile - 1) / kTile, 1, [&](std::int64_t begin, std::int64_t end) {
    HostVector<double> tile(static_cast<std::size_t>(kTile * m_));
    std::int64_t unchecked = 0;
    for (std::int64_t i = begin * kTile; i < std::min(count, end * kTile); i += kTile) {
      const std::int64_t height = std::min(kTile, count - i);
      shared.check(height * m_ * (1 + problem_.dimension()), unchecked);
      costs_.tile(first + i, height, tile.data(), m_);
      for (std::int64_t r = 0; r < height; ++r) {
        const double alpha = alpha_[static_cast<std::size_t>(first + i + r)];
        const double* costs = tile.data() + r * m_;
        float* out = values() + (i + r) * stride_;
        for (std::int64_t j = 0; j < m_; ++j) {
          const double exponent = (alpha + beta_[static_cast<std::size_t>(j)] - costs[j]) * scale_;
          out[j] = static_cast<float>(std::min(kMost, std::max(-kMost, exponent)));
        }
      }
    }
  });
}

}  // namespace otnfm
