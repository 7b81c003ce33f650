#include "engine/metrics/pairwise.h"

#include <cmath>

#include "engine/metrics/host_stream.h"
#include "kernels/check.h"
#include "kernels/matmul.h"

namespace otnfm {
namespace {

void centre(View<const float> x, const std::vector<double>& mean, std::vector<float>& centred,
            std::vector<float>& squares) {
  const std::int64_t d = x.columns();
  centred.resize(static_cast<std::size_t>(x.rows() * d));
  squares.resize(static_cast<std::size_t>(x.rows()));
  host::parallel_rows(x.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double square = 0;
      float* row = centred.data() + i * d;
      for (std::int64_t j = 0; j < d; ++j) {
        row[j] = static_cast<float>(x(i, j) - mean[static_cast<std::size_t>(j)]);
        square += static_cast<double>(row[j]) * row[j];
      }
      squares[static_cast<std::size_t>(i)] = static_cast<float>(square);
    }
  });
}

}  // namespace

PairwiseDistances::PairwiseDistances(View<const float> a, View<const float> b) {
  const char* where = "distances between two sets";
  require(a.rank == 2 && !a.empty(), where, "the first must be a matrix that is not empty", describe(a));
  require(b.rank == 2 && !b.empty(), where, "the second must be a matrix that is not empty", describe(b));
  require_matrix(where, "the first", a, a.rows(), a.columns());
  require_matrix(where, "the second", b, b.rows(), a.columns());
  n_ = a.rows();
  m_ = b.rows();
  d_ = a.columns();
  std::vector<double> mean(static_cast<std::size_t>(d_), 0.0);
  for (std::int64_t i = 0; i < m_; ++i)
    for (std::int64_t j = 0; j < d_; ++j) mean[static_cast<std::size_t>(j)] += b(i, j);
  for (double& value : mean) value /= static_cast<double>(m_);
  centre(a, mean, a_, a_squares_);
  centre(b, mean, b_, b_squares_);
  largest_b_square_ = *std::max_element(b_squares_.begin(), b_squares_.end());
  block_.resize(static_cast<std::size_t>(std::min(kRows, n_) * std::min(kColumns, m_)));
}

void PairwiseDistances::multiply(std::int64_t row, std::int64_t column) {
  const std::int64_t rows = std::min(kRows, n_ - row), columns = std::min(kColumns, m_ - column);
  matmul(metrics_stream(), {.a = {a_.data() + row * d_, {rows, d_}},
                            .b = {b_.data() + column * d_, {columns, d_}},
                            .c = {block_.data(), {rows, columns}},
                            .transpose_b = true});
}

float* PairwiseDistances::squared_distances(std::int64_t row, std::int64_t column, std::int64_t i) {
  const std::int64_t columns = std::min(kColumns, m_ - column);
  const float a_square = a_squares_[static_cast<std::size_t>(row + i)];
  const float* b_squares = b_squares_.data() + column;
  float* squared = block_.data() + i * columns;
  for (std::int64_t j = 0; j < columns; ++j)
    squared[j] = std::max(a_square + b_squares[j] - 2.0f * squared[j], 0.0f);  // in this order a NaN stays
  return squared;
}

double PairwiseDistances::error_bound(std::int64_t i) const {
  const double reach = std::sqrt(static_cast<double>(a_squares_[static_cast<std::size_t>(i)])) +
                       std::sqrt(static_cast<double>(largest_b_square_));
  return static_cast<double>(d_ + 8) * 0x1p-24 * reach * reach;
}

}  // namespace otnfm
