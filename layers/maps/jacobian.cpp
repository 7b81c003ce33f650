#include "layers/maps/jacobian.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/dense_matrix.h"
#include "kernels/check.h"
#include "kernels/gather.h"

namespace otnfm {
namespace {

DenseMatrix in_double(View<const float> jacobian) {
  require(jacobian.rank == 2 && jacobian.rows() == jacobian.columns() && jacobian.rows_contiguous(), "jacobian", "J",
          describe(jacobian) + ", wanted [d, d]");
  DenseMatrix j(jacobian.rows(), jacobian.columns());
  for (std::int64_t r = 0; r < jacobian.rows(); ++r)
    for (std::int64_t c = 0; c < jacobian.columns(); ++c) j(r, c) = jacobian(r, c);
  if (!std::ranges::all_of(j.values(), [](double value) { return std::isfinite(value); }))
    throw RunError("a Jacobian holds a number that is not finite");
  return j;
}

}  // namespace

Jacobian::Jacobian(Flow& flow, Device device, std::optional<std::int64_t> block, std::int64_t rows)
    : dimension_(flow.dimension()),
      points_(std::max<std::int64_t>(1, rows / std::max<std::int64_t>(1, flow.dimension()))),
      coordinates_(block ? FlowCoordinates{} : flow.coordinates),
      stream_(device),
      batch_(device, points_, dimension_),
      tape_(device, {.training = true, .frozen = true}) {
  if (block && (*block < 0 || *block >= flow.block_count()))
    throw InputError(fmt::format("jacobian: block {} of {}", *block, flow.block_count()));
  const std::int64_t d = dimension_, all = points_ * d;
  std::vector<std::int64_t> index(static_cast<std::size_t>(all));
  std::vector<float> units(static_cast<std::size_t>(all * d), 0.0f);
  for (std::int64_t k = 0; k < all; ++k) {
    index[static_cast<std::size_t>(k)] = k / d;
    units[static_cast<std::size_t>(k * d + k % d)] = 1;
  }
  memory_ = Memory(device, index.size() * sizeof(std::int64_t) + units.size() * sizeof(float), "a Jacobian's rows");
  const View<std::int64_t> index_view(reinterpret_cast<std::int64_t*>(memory_.data()), {all});
  const View<float> unit_view(reinterpret_cast<float*>(index_view.data + all), {all, d});
  copy_bytes(stream_, index_view.data, index.data(), index.size() * sizeof(std::int64_t));
  copy_bytes(stream_, unit_view.data, units.data(), units.size() * sizeof(float));
  stream_.synchronize();

  const Tensor t = tape_.make({all, 1}), x = tape_.make({all, d});
  tape_.record(gather_rows, GatherRows{.x = batch_.t, .index = index_view, .y = t.view()});
  tape_.record(gather_rows, GatherRows{.x = batch_.x, .index = index_view, .y = x.view()});
  tape_.want_gradient(x);
  // Block by block: a family's faster way through all of them may have gradients for the weights only.
  y_ = x;
  for (std::int64_t k = block.value_or(0); k < (block ? *block + 1 : flow.block_count()); ++k)
    y_ = flow.forward_block(tape_, k, t, y_);
  tape_.backward_from(y_, tape_.external(unit_view));
  gradient_ = tape_.gradient(x);
  tape_.keep(y_);
  tape_.keep(gradient_);
  tape_.plan();
}

void Jacobian::operator()(View<const float> t, View<const float> x, View<float> y, View<float> jacobian) {
  const std::int64_t d = dimension_;
  require_flow_rows("Jacobian", d, t, x, y);
  require(same_shape(jacobian, {x.rows(), d, d}) && jacobian.contiguous(), "Jacobian", "the Jacobian",
          describe(jacobian) + fmt::format(", wanted contiguous [{}, {}, {}]", x.rows(), d, d));
  std::vector<float> images(static_cast<std::size_t>(points_ * d * d));
  std::vector<float> memory;
  const View<float> repeated(images.data(), {points_ * d, d});
  for (std::int64_t begin = 0; begin < x.rows(); begin += points_) {
    const std::int64_t count = std::min(points_, x.rows() - begin);
    batch_.upload(stream_, t.row_slice(begin, count), entered(coordinates_, x.row_slice(begin, count), memory), 0,
                  count);
    tape_.run(stream_);
    copy_rows(stream_, repeated, tape_.view(y_), count * d);
    copy_rows(stream_, View<float>(jacobian.data + begin * d * d, {count * d, d}), tape_.view(gradient_), count * d);
    stream_.synchronize();
    for (std::int64_t i = 0; i < count; ++i) std::copy_n(repeated.row(i * d), d, y.row(begin + i));
    if (coordinates_.identity()) continue;
    const View<float> left = y.row_slice(begin, count);
    coordinates_.leave(t.row_slice(begin, count), View<const float>(left), left);
    for (std::int64_t p = begin; p < begin + count; ++p)
      for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t j = 0; j < d; ++j) {
          float& entry = jacobian.data[(p * d + i) * d + j];
          entry = static_cast<float>(coordinates_.stretch(t(p, 0), i) * coordinates_.entry(j) * entry);
        }
  }
}

JacobianSummary summarize_jacobian(View<const float> jacobian) {
  const DenseMatrix j = in_double(jacobian);
  const std::int64_t d = j.rows();
  DenseMatrix transpose(d, d), squared(d, d), symmetric(d, d), difference(d, d);
  for (std::int64_t r = 0; r < d; ++r)
    for (std::int64_t c = 0; c < d; ++c) {
      transpose(r, c) = j(c, r);
      symmetric(r, c) = (j(r, c) + j(c, r)) / 2;
      difference(r, c) = j(r, c) - j(c, r);
    }
  add_gram(transpose, squared);
  JacobianSummary summary;
  // By J^T J: squaring costs half the digits of double, which leaves more than the float32 Jacobian holds.
  for (const double eigenvalue : symmetric_eigen(squared, false).values)
    summary.singular_values.insert(summary.singular_values.begin(), std::sqrt(std::max(0.0, eigenvalue)));
  const MatrixLogDeterminant determinant = log_determinant(j);
  summary.log_abs_determinant = determinant.log_abs;
  summary.keeps_orientation = determinant.positive;
  const double size = norm(j.values());
  summary.asymmetry = size > 0 ? norm(difference.values()) / size : 0;
  std::vector<double> eigenvalues = symmetric_eigen(symmetric, false).values;
  const double all = norm(eigenvalues);
  for (double& eigenvalue : eigenvalues) eigenvalue = std::min(0.0, eigenvalue);
  summary.negative_part = all > 0 ? norm(eigenvalues) / all : 0;
  return summary;
}

double log_abs_determinant(View<const float> jacobian) {
  return log_determinant(in_double(jacobian)).log_abs;
}

}  // namespace otnfm
