// g++ 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include "engine/data/gaussian_fit.h"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "kernels/matmul.h"

namespace otnfm {
namespace {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

View<float> view(RowMatrix& matrix) {
  return {matrix.data(), {matrix.rows(), matrix.cols()}};
}

// Rows at a time: products of one block are added up in float32, those of the blocks in double.
constexpr std::int64_t kBlockRows = 2048;

Eigen::VectorXd column_means(View<const float> rows) {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(rows.columns());
  for (std::int64_t i = 0; i < rows.rows(); ++i)
    sum += Eigen::Map<const Eigen::VectorXf>(rows.row(i), rows.columns()).cast<double>();
  return sum / static_cast<double>(rows.rows());
}

// use(block) for every block of rows, less the mean.
template <class Use>
void for_each_centred_block(View<const float> rows, const Eigen::VectorXd& mean, const Use& use) {
  const Eigen::RowVectorXf shift = mean.cast<float>();
  RowMatrix block;
  for (std::int64_t first = 0; first < rows.rows(); first += kBlockRows) {
    const std::int64_t count = std::min(kBlockRows, rows.rows() - first);
    block.resize(count, rows.columns());
    cpu::parallel_rows(count, rows.columns(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        block.row(i) = Eigen::Map<const Eigen::RowVectorXf>(rows.row(first + i), rows.columns()) - shift;
    });
    use(block);
  }
}

void append_factors(const Eigen::MatrixXd& vectors, const Eigen::VectorXd& values, std::vector<float>& factor) {
  // Below the rounding of the products an eigenvalue means nothing; a negative one has no root.
  const double least = 1e-7 * std::max(0.0, values.maxCoeff());
  for (std::int64_t k = values.size(); k-- > 0;) {
    if (!(values[k] > least)) continue;
    const Eigen::VectorXf column = (std::sqrt(values[k]) * vectors.col(k)).cast<float>();
    factor.insert(factor.end(), column.begin(), column.end());
  }
}

void fit_full(View<const float> rows, const Eigen::VectorXd& mean, GaussianParameters& fit) {
  const std::int64_t d = rows.columns();
  Stream& stream = host_stream();
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(d, d);
  RowMatrix products(d, d);
  for_each_centred_block(rows, mean, [&](RowMatrix& block) {
    matmul(stream, {.a = view(block), .b = view(block), .c = view(products), .transpose_a = true});
    covariance += products.cast<double>();
  });
  covariance /= static_cast<double>(rows.rows());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  append_factors(solver.eigenvectors(), solver.eigenvalues(), fit.factor);
}

Eigen::MatrixXd orthonormal(const Eigen::MatrixXd& columns) {
  return Eigen::HouseholderQR<Eigen::MatrixXd>(columns).householderQ() *
         Eigen::MatrixXd::Identity(columns.rows(), columns.cols());
}

void fit_low_rank(View<const float> rows, const Eigen::VectorXd& mean, const GaussianFitOptions& options,
                  GaussianParameters& fit) {
  const std::int64_t d = rows.columns(), n = rows.rows();
  const std::int64_t width = std::min(d, options.rank + 32);  // a few more than are kept: they converge faster
  Stream& stream = host_stream();

  RowMatrix basis(d, width), image(d, width), projected;
  const DrawKey start{.seed = 0x6f746e666d};
  normal(stream, {.y = view(basis), .key = random_key(start)});
  Eigen::MatrixXd q = orthonormal(basis.cast<double>());
  for (int iteration = 0; iteration < options.iterations; ++iteration) {  // q <- orthonormal(C q)
    basis = q.cast<float>();
    Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(d, width);
    for_each_centred_block(rows, mean, [&](RowMatrix& block) {
      projected.resize(block.rows(), width);
      matmul(stream, {.a = view(block), .b = view(basis), .c = view(projected)});
      matmul(stream, {.a = view(block), .b = view(projected), .c = view(image), .transpose_a = true});
      sum += image.cast<double>();
    });
    q = orthonormal(sum);
  }

  basis = q.cast<float>();
  RowMatrix products(width, width);
  Eigen::MatrixXd small = Eigen::MatrixXd::Zero(width, width);  // q^T C q
  Eigen::VectorXd variance = Eigen::VectorXd::Zero(d);
  for_each_centred_block(rows, mean, [&](RowMatrix& block) {
    projected.resize(block.rows(), width);
    matmul(stream, {.a = view(block), .b = view(basis), .c = view(projected)});
    matmul(stream, {.a = view(projected), .b = view(projected), .c = view(products), .transpose_a = true});
    small += products.cast<double>();
    for (std::int64_t i = 0; i < block.rows(); ++i) variance += block.row(i).transpose().cast<double>().cwiseAbs2();
  });
  small /= static_cast<double>(n);
  variance /= static_cast<double>(n);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(small);
  const std::int64_t rank = std::min(options.rank, width);
  append_factors(q * solver.eigenvectors().rightCols(rank), solver.eigenvalues().tail(rank), fit.factor);

  const Eigen::Map<const RowMatrix> factor(fit.factor.data(), fit.rank(), d);
  for (std::int64_t j = 0; j < d; ++j)
    fit.diagonal.push_back(
        static_cast<float>(std::sqrt(std::max(0.0, variance[j] - factor.col(j).cast<double>().squaredNorm()))));
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
  const Eigen::VectorXd mean = column_means(rows);
  GaussianParameters fit;
  fit.mean.assign(mean.begin(), mean.end());
  if (rows.columns() <= options.max_full_dimension)
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
  product_ = RowProduct({parameters_.factor.data(), {parameters_.rank(), dimension()}},
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
    cpu::parallel_rows(count, d, [&](std::int64_t begin, std::int64_t end) {
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
