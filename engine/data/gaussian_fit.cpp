#include "engine/data/gaussian_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "engine/core/dense_matrix.h"
#include "kernels/check.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/matmul.h"

namespace otnfm {
namespace {

// [rows, columns] in float32, row after row, as products are formed.
struct Rows {
  std::int64_t rows = 0, columns = 0;
  std::vector<float> values;

  Rows() = default;
  Rows(std::int64_t rows_wanted, std::int64_t columns_wanted) { resize(rows_wanted, columns_wanted); }
  void resize(std::int64_t rows_wanted, std::int64_t columns_wanted) {
    rows = rows_wanted;
    columns = columns_wanted;
    values.resize(static_cast<std::size_t>(rows * columns));
  }
  View<float> view() { return {values.data(), {rows, columns}}; }
};

// sum += a; a is the other way round in memory.
void add(Rows& a, DenseMatrix& sum) {
  const View<float> view = a.view();
  for (std::int64_t j = 0; j < a.columns; ++j)
    for (std::int64_t i = 0; i < a.rows; ++i) sum(i, j) += view(i, j);
}

void divide(DenseMatrix& a, std::int64_t n) {
  for (double& value : a.values()) value /= static_cast<double>(n);
}

void round_into(const DenseMatrix& a, Rows& rounded) {
  rounded.resize(a.rows(), a.columns());
  const View<float> view = rounded.view();
  for (std::int64_t i = 0; i < a.rows(); ++i)
    for (std::int64_t j = 0; j < a.columns(); ++j) view(i, j) = static_cast<float>(a(i, j));
}

// Rows at a time: products of one block are added up in float32, those of the blocks in double.
constexpr std::int64_t kBlockRows = 2048;

// use(block) for every block of rows.
template <class Use>
void for_each_block(const RowReader& rows, const Use& use) {
  Rows block;
  for (std::int64_t first = 0; first < rows.rows; first += kBlockRows) {
    block.resize(std::min(kBlockRows, rows.rows - first), rows.columns);
    rows.copy(first, block.view());
    use(block);
  }
}

// The same, less the mean.
template <class Use>
void for_each_centred_block(const RowReader& rows, const std::vector<double>& mean, const Use& use) {
  const std::vector<float> shift(mean.begin(), mean.end());
  for_each_block(rows, [&](Rows& block) {
    host::parallel_rows(block.rows, block.columns, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        float* x = block.view().row(i);
        for (std::size_t k = 0; k < shift.size(); ++k) x[k] -= shift[k];
      }
    });
    use(block);
  });
}

std::vector<double> mean_of(const RowReader& rows) {
  std::vector<double> mean(static_cast<std::size_t>(rows.columns), 0.0);
  for_each_block(rows, [&](Rows& block) {
    for (std::int64_t i = 0; i < block.rows; ++i)
      for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += block.view().row(i)[k];
  });
  for (double& value : mean) value /= static_cast<double>(rows.rows);
  return mean;
}

// The last `count` eigenvectors, the largest first, each times the root of its eigenvalue.
void append_factors(const DenseMatrix& vectors, std::span<const double> values, std::int64_t count,
                    std::vector<float>& factor) {
  // Below the rounding of the products an eigenvalue means nothing; a negative one has no root.
  const double least = 1e-7 * std::max(0.0, values.back());
  const auto all = static_cast<std::int64_t>(values.size());
  for (std::int64_t k = all; k-- > all - count;) {
    const double value = values[static_cast<std::size_t>(k)];
    if (!(value > least)) continue;
    for (const double entry : vectors.column(k)) factor.push_back(static_cast<float>(std::sqrt(value) * entry));
  }
}

void fit_full(const RowReader& rows, const std::vector<double>& mean, GaussianParameters& fit) {
  const std::int64_t d = rows.columns;
  Stream& stream = host_stream();
  DenseMatrix covariance(d, d);
  Rows products(d, d);
  for_each_centred_block(rows, mean, [&](Rows& block) {
    matmul(stream, {.a = block.view(), .b = block.view(), .c = products.view(), .transpose_a = true});
    add(products, covariance);
  });
  divide(covariance, rows.rows);
  const SymmetricEigen eigen = symmetric_eigen(covariance);
  append_factors(eigen.vectors, eigen.values, d, fit.factor);
}

void fit_low_rank(const RowReader& rows, const std::vector<double>& mean, const GaussianFitOptions& options,
                  GaussianParameters& fit) {
  const std::int64_t d = rows.columns, n = rows.rows;
  const std::int64_t width = std::min(d, options.rank + 32);  // a few more than are kept: they converge faster
  Stream& stream = host_stream();

  Rows basis(d, width), image(d, width), projected;
  const DrawKey start{.seed = 0x6f746e666d};
  normal(stream, {.y = basis.view(), .key = random_key(start)});
  DenseMatrix q(d, width);
  add(basis, q);
  q = orthonormal(q);
  for (int iteration = 0; iteration < options.iterations; ++iteration) {  // q <- orthonormal(C q)
    round_into(q, basis);
    DenseMatrix sum(d, width);
    for_each_centred_block(rows, mean, [&](Rows& block) {
      projected.resize(block.rows, width);
      matmul(stream, {.a = block.view(), .b = basis.view(), .c = projected.view()});
      matmul(stream, {.a = block.view(), .b = projected.view(), .c = image.view(), .transpose_a = true});
      add(image, sum);
    });
    q = orthonormal(sum);
  }

  round_into(q, basis);
  Rows products(width, width);
  DenseMatrix small(width, width);  // q^T C q
  std::vector<double> variance(static_cast<std::size_t>(d), 0.0);
  for_each_centred_block(rows, mean, [&](Rows& block) {
    projected.resize(block.rows, width);
    matmul(stream, {.a = block.view(), .b = basis.view(), .c = projected.view()});
    matmul(stream, {.a = projected.view(), .b = projected.view(), .c = products.view(), .transpose_a = true});
    add(products, small);
    for (std::int64_t i = 0; i < block.rows; ++i)
      for (std::size_t k = 0; k < variance.size(); ++k) {
        const double value = block.view().row(i)[k];
        variance[k] += value * value;
      }
  });
  divide(small, n);
  const SymmetricEigen eigen = symmetric_eigen(small);
  append_factors(product(q, eigen.vectors), eigen.values, std::min(options.rank, width), fit.factor);

  const View<const float> factor(fit.factor.data(), {fit.rank(), d});
  for (std::int64_t j = 0; j < d; ++j) {
    double kept = 0;
    for (std::int64_t k = 0; k < factor.rows(); ++k) kept += double{factor(k, j)} * factor(k, j);
    fit.diagonal.push_back(static_cast<float>(
        std::sqrt(std::max(0.0, variance[static_cast<std::size_t>(j)] / static_cast<double>(n) - kept))));
  }
}

void check_finite(const char* name, const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) throw InputError(fmt::format("gaussian-fit: {}[{}] is {}", name, i, values[i]));
}

}  // namespace

GaussianParameters fit_gaussian(View<const float> rows, const GaussianFitOptions& options) {
  require(rows.rank == 2 && !rows.empty(), "fit_gaussian", "the data must be a matrix that is not empty",
          describe(rows));
  require_matrix("fit_gaussian", "the data", rows, rows.rows(), rows.columns());
  const auto copy = [&](std::int64_t first, View<float> out) {
    for (std::int64_t i = 0; i < out.rows(); ++i) std::copy_n(rows.row(first + i), out.columns(), out.row(i));
  };
  return fit_gaussian(RowReader{.rows = rows.rows(), .columns = rows.columns(), .copy = copy}, options);
}

GaussianParameters fit_gaussian(const RowReader& rows, const GaussianFitOptions& options) {
  if (rows.rows < 1 || rows.columns < 1)
    throw InputError(fmt::format("fit_gaussian: {} rows of {} numbers", rows.rows, rows.columns));
  const std::vector<double> mean = mean_of(rows);
  GaussianParameters fit;
  fit.mean.assign(mean.begin(), mean.end());
  if (rows.columns <= options.max_full_dimension)
    fit_full(rows, mean, fit);
  else
    fit_low_rank(rows, mean, options, fit);
  return fit;
}

GaussianFit::GaussianFit(GaussianParameters parameters) : parameters_(std::move(parameters)) {
  const std::size_t d = parameters_.mean.size();
  if (d == 0 || parameters_.factor.size() % d != 0 ||
      (!parameters_.diagonal.empty() && parameters_.diagonal.size() != d))
    throw InputError(fmt::format("gaussian-fit: a mean of {}, a factor of {} and a diagonal of {} numbers do not fit",
                                 d, parameters_.factor.size(), parameters_.diagonal.size()));
  check_finite("mean", parameters_.mean);
  check_finite("factor", parameters_.factor);
  check_finite("diagonal", parameters_.diagonal);
  product_ = PackedProduct({parameters_.factor.data(), {parameters_.rank(), dimension()}},
                           {parameters_.mean.data(), {dimension()}});
}

template <class FillNoise>
void GaussianFit::draw_with(const FillNoise& fill_noise, View<float> out, View<float> z_memory) const {
  if (out.rank != 2) fail_check("GaussianFit::draw", "the output must be a matrix", describe(out));
  require_matrix("GaussianFit::draw", "the output", out, out.rows(), dimension());
  const std::int64_t d = dimension(), rank = parameters_.rank(), most = z_memory.rows();
  const std::vector<float>& diagonal = parameters_.diagonal;
  for (std::int64_t first = 0; first < out.rows(); first += most) {
    const std::int64_t count = std::min(most, out.rows() - first);
    const View<float> z = z_memory.row_slice(0, count);
    fill_noise(first, z);
    const View<float> block = out.row_slice(first, count);
    product_(z.column_slice(0, rank), block);
    if (diagonal.empty()) continue;
    host::parallel_rows(count, d, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* z_row = z.row(i) + rank;
        float* x = block.row(i);
        for (std::int64_t j = 0; j < d; ++j) x[j] += diagonal[static_cast<std::size_t>(j)] * z_row[j];
      }
    });
  }
}

View<float> GaussianFit::noise_memory(std::vector<float>& memory, std::int64_t rows) const {
  constexpr std::int64_t kRows = 256;  // at a time: the noise of a large draw would be as large as the draw
  const std::int64_t count = std::clamp<std::int64_t>(rows, 1, kRows);
  memory.resize(static_cast<std::size_t>(count * noise_width()));
  return {memory.data(), {count, noise_width()}};
}

void GaussianFit::draw(Stream& stream, const DrawKey& key, View<float> out, View<float> z) const {
  draw_with(
      [&](std::int64_t first, View<float> block) {
        const DrawKey block_key = key.at_row(first);
        normal(stream, {.y = block, .key = random_key(block_key)});
      },
      out, z);
}

void GaussianFit::draw(const DrawKey& key, View<float> out) const {
  std::vector<float> memory;
  draw(host_stream(), key, out, noise_memory(memory, out.rank == 2 ? out.rows() : 0));
}

void GaussianFit::draw_rows(const DrawKey& key, View<const std::int64_t> rows, View<float> out) const {
  require_vector("GaussianFit::draw_rows", "rows", rows, out.rows());
  std::vector<float> memory;
  draw_with(
      [&](std::int64_t first, View<float> z) {
        for (std::int64_t i = 0; i < z.rows(); ++i) {
          const DrawKey row_key = key.at_row(rows(first + i));
          normal(host_stream(), {.y = z.row_slice(i, 1), .key = random_key(row_key)});
        }
      },
      out, noise_memory(memory, out.rows()));
}

}  // namespace otnfm
