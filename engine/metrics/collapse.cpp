#include "engine/metrics/collapse.h"

#include <algorithm>
#include <vector>

#include "engine/data/random_streams.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

// About the first row and not about 0, so that a mean far from 0 cancels nothing; double holds the rest.
class ColumnSums {
 public:
  /// A block of rows [b, d], behind those so far.
  void add(View<const float> x) {
    const std::size_t d = static_cast<std::size_t>(x.columns());
    if (n_ == 0 && x.rows() > 0) {
      origin_.assign(x.row(0), x.row(0) + d);
      sum_.assign(d, 0.0);
      square_.assign(d, 0.0);
    }
    for (std::int64_t i = 0; i < x.rows(); ++i, ++n_) {
      const float* row = x.row(i);
      for (std::size_t j = 0; j < d; ++j) {
        const double difference = static_cast<double>(row[j]) - origin_[j];
        sum_[j] += difference;
        square_[j] += difference * difference;
      }
    }
  }

  /// sum of the columns' variances, divided by the number of rows
  double trace() const {
    const double n = static_cast<double>(n_);
    double trace = 0;
    for (std::size_t j = 0; j < sum_.size(); ++j) trace += (square_[j] - sum_[j] * sum_[j] / n) / n;
    return trace;
  }

 private:
  std::int64_t n_ = 0;
  std::vector<float> origin_;
  std::vector<double> sum_, square_;
};

}  // namespace

double covariance_trace(View<const float> x) {
  require(x.rank == 2 && x.rows() > 0, "covariance_trace", "x must be a matrix with rows", describe(x));
  require_matrix("covariance_trace", "x", x, x.rows(), x.columns());
  ColumnSums sums;
  sums.add(x);
  return sums.trace();
}

double total_variance(const Dataset& dataset, std::uint64_t seed) {
  constexpr std::int64_t kDraws = 16384;
  if (const View<const float> rows = dataset.rows_in_place(); !rows.empty()) return covariance_trace(rows);
  if (!dataset.endless()) {
    constexpr std::int64_t kBlock = 512;
    ColumnSums sums;
    std::vector<float> block(static_cast<std::size_t>(std::min(kBlock, dataset.count()) * dataset.dimension()));
    for (std::int64_t first = 0; first < dataset.count(); first += kBlock) {
      const View<float> rows(block.data(), {std::min(kBlock, dataset.count() - first), dataset.dimension()});
      dataset.copy_rows(first, rows);
      sums.add(rows);
    }
    return sums.trace();
  }
  std::vector<float> drawn(kDraws * dataset.dimension());
  const View<float> rows(drawn.data(), {kDraws, dataset.dimension()});
  dataset.draw({.seed = seed, .stream = kTargetBankStream}, rows);
  return covariance_trace(rows);
}

}  // namespace otnfm
