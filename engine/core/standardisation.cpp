#include "engine/core/standardisation.h"

#include <algorithm>
#include <cmath>

#include "kernels/bias_activation.h"
#include "kernels/check.h"
#include "kernels/elementwise.h"

namespace otnfm {
namespace {

// Far below the spacing of floats near the constant, so that no output of a flow moves it.
constexpr float kOfConstant = 0x1p-30f, kLeastScale = 1e-30f;

double shift_of(const Standardisation& s, std::int64_t j) {
  return s.identity() ? 0.0 : static_cast<double>(s.shift[static_cast<std::size_t>(j)]);
}

double scale_of(const Standardisation& s, std::int64_t j) {
  return s.identity() ? 1.0 : static_cast<double>(s.scale[static_cast<std::size_t>(j)]);
}

/// to(i, j) = value(i, j, from(i, j)), rounded from double.
template <class Value>
void map_rows(const char* what, std::int64_t d, View<const float> from, View<float> to, const Value& value) {
  require_matrix(what, "the input", from, from.rows(), d);
  require_matrix(what, "the output", to, from.rows(), d);
  for (std::int64_t i = 0; i < from.rows(); ++i) {
    const float* row = from.row(i);
    float* out = to.row(i);
    for (std::int64_t j = 0; j < d; ++j) out[j] = static_cast<float>(value(i, j, static_cast<double>(row[j])));
  }
}

void copy_rows(View<const float> from, View<float> to) {
  if (from.data == to.data) return;
  for (std::int64_t i = 0; i < from.rows(); ++i) std::copy_n(from.row(i), from.columns(), to.row(i));
}

}  // namespace

void Standardisation::apply(View<const float> x, View<float> u) const {
  if (identity()) return copy_rows(x, u);
  map_rows("Standardisation::apply", static_cast<std::int64_t>(shift.size()), x, u,
           [&](std::int64_t, std::int64_t j, double v) { return (v - shift_of(*this, j)) / scale_of(*this, j); });
}

void Standardisation::undo(View<const float> u, View<float> x) const {
  if (identity()) return copy_rows(u, x);
  map_rows("Standardisation::undo", static_cast<std::int64_t>(shift.size()), u, x,
           [&](std::int64_t, std::int64_t j, double v) { return shift_of(*this, j) + scale_of(*this, j) * v; });
}

double Standardisation::log_volume() const {
  double sum = 0;
  for (const float s : scale) sum += std::log(static_cast<double>(s));
  return sum;
}

float Standardisation::scale_of_constant(float value) {
  return std::max(std::abs(value) * kOfConstant, kLeastScale);
}

std::optional<std::int64_t> Standardisation::constant_column() const {
  for (std::size_t j = 0; j < scale.size(); ++j)
    if (scale[j] == scale_of_constant(shift[j])) return static_cast<std::int64_t>(j);
  return {};
}

double FlowCoordinates::stretch(float t, std::int64_t j) const {
  const double time = static_cast<double>(t);
  return (1 - time) * scale_of(source, j) + time * scale_of(target, j);
}

double FlowCoordinates::entry(std::int64_t j) const {
  return 1 / scale_of(source, j);
}

void FlowCoordinates::leave(View<const float> t, View<const float> u, View<float> y) const {
  if (identity()) return copy_rows(u, y);
  map_rows("FlowCoordinates::leave", u.columns(), u, y, [&](std::int64_t i, std::int64_t j, double v) {
    const double time = static_cast<double>(t(i, 0));
    return (1 - time) * shift_of(source, j) + time * shift_of(target, j) + stretch(t(i, 0), j) * v;
  });
}

void FlowCoordinates::enter_at(View<const float> t, View<const float> y, View<float> u) const {
  if (identity()) return copy_rows(y, u);
  map_rows("FlowCoordinates::enter_at", y.columns(), y, u, [&](std::int64_t i, std::int64_t j, double v) {
    const double time = static_cast<double>(t(i, 0));
    return (v - ((1 - time) * shift_of(source, j) + time * shift_of(target, j))) / stretch(t(i, 0), j);
  });
}

double FlowCoordinates::log_volume(float t, std::int64_t d) const {
  double sum = 0;
  if (identity()) return sum;
  for (std::int64_t j = 0; j < d; ++j) sum += std::log(stretch(t, j) * entry(j));
  return sum;
}

StandardisationOps::StandardisationOps(const Standardisation& standardisation, Device device, std::int64_t rows) {
  if (standardisation.identity()) return;
  const auto d = static_cast<std::int64_t>(standardisation.shift.size());
  std::vector<float> values(static_cast<std::size_t>(2 * d * (rows + 1)));
  memory_ = Memory(device, values.size() * sizeof(float), "a standardisation");
  auto* data = reinterpret_cast<float*>(memory_.data());
  shift_ = View<float>(data, {d});
  negative_shift_ = View<float>(data + d, {d});
  scale_ = View<float>(data + 2 * d, {rows, d});
  inverse_ = View<float>(scale_.data + rows * d, {rows, d});
  for (std::int64_t j = 0; j < d; ++j) {
    const auto k = static_cast<std::size_t>(j);
    values[k] = standardisation.shift[k];
    values[k + static_cast<std::size_t>(d)] = -standardisation.shift[k];
    for (std::int64_t i = 0; i < rows; ++i) {
      values[static_cast<std::size_t>((2 + i) * d + j)] = standardisation.scale[k];
      values[static_cast<std::size_t>((2 + rows + i) * d + j)] =
          static_cast<float>(1 / static_cast<double>(standardisation.scale[k]));
    }
  }
  Stream stream(device);
  copy_bytes(stream, data, values.data(), values.size() * sizeof(float));
  stream.synchronize();
}

Tensor StandardisationOps::apply(Tape& tape, Tensor x) const {
  if (shift_.data == nullptr) return x;
  const Tensor centred = tape.make(x.shape()), u = tape.make(x.shape());
  tape.record(
      bias_activation,
      BiasActivation{.z = x.view(), .bias = negative_shift_, .y = centred.view(), .activation = Activation::identity});
  tape.record(multiply, Multiply{.a = centred.view(), .b = inverse_.row_slice(0, x.rows()), .y = u.view()});
  return u;
}

Tensor StandardisationOps::undo(Tape& tape, Tensor u) const {
  if (shift_.data == nullptr) return u;
  const Tensor scaled = tape.make(u.shape()), x = tape.make(u.shape());
  tape.record(multiply, Multiply{.a = u.view(), .b = scale_.row_slice(0, u.rows()), .y = scaled.view()});
  tape.record(bias_activation,
              BiasActivation{.z = scaled.view(), .bias = shift_, .y = x.view(), .activation = Activation::identity});
  return x;
}

}  // namespace otnfm
