#include "kernels/host/packed_linear.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/check.h"
#include "kernels/cpu/loops/loops.h"
#include "kernels/host/parallel.h"

namespace otnfm {
namespace {

using cpu::kPackedPart, cpu::kPackedParts, cpu::kPackedRows;

constexpr std::int64_t kPanel = kPackedPart * kPackedParts;

/// Outputs of a panel, rounded up to whole parts: how wide its rows are stored.
std::int64_t stored_width(std::int64_t outputs) {
  return (std::min(kPanel, outputs) + kPackedPart - 1) / kPackedPart * kPackedPart;
}

/// y = x W^T + bias on this thread; `all_biases` may be null.
template <class Weight>
void multiply(const View<const float>& x, const Weight* panels, const float* all_biases, const View<float>& y) {
  const std::int64_t inner = x.columns(), outputs = y.columns();
  const auto& by = std::is_same_v<Weight, float> ? cpu::loops().packed_floats : cpu::loops().packed_bfloat16s;
  float sums[kPackedRows * kPanel];
  for (std::int64_t column = 0; column < outputs; column += kPanel) {
    const std::int64_t width = std::min(kPanel, outputs - column), stored = stored_width(width);
    const float* bias = all_biases == nullptr ? nullptr : all_biases + column;
    for (std::int64_t i = 0; i < y.rows(); i += kPackedRows) {
      const std::int64_t rows = std::min<std::int64_t>(kPackedRows, y.rows() - i);
      by({.x = x.row(i),
          .x_stride = x.row_stride(),
          .rows = rows,
          .inner = inner,
          .panel = panels + column * inner,
          .parts = static_cast<int>(stored / kPackedPart),
          .sums = sums});
      for (std::int64_t r = 0; r < rows; ++r) {
        float *from = sums + r * stored, *to = y.row(i + r) + column;
        if (bias != nullptr)
          for (std::int64_t j = 0; j < width; ++j) from[j] += bias[j];
        std::memcpy(to, from, static_cast<std::size_t>(width) * sizeof(float));
      }
    }
  }
}

void check(const PackedLinear& a) {
  require(a.x.rank == 2 && a.y.rank == 2, a.kName, "x and y must be matrices", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.y.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.y.columns());
  if (a.bias.data != nullptr) require_vector(a.kName, "bias", a.bias, a.y.columns());
  const std::int64_t panels = a.panels.size() + a.panels_bfloat16.size();
  std::int64_t wanted = 0;
  for (std::int64_t column = 0; column < a.y.columns(); column += kPanel)
    wanted += stored_width(a.y.columns() - column) * a.x.columns();
  require(panels == wanted, a.kName, "the panels are of another weight", std::to_string(panels));
}

/// Rows of x, rounded to bfloat16, that fit into the workspace at a time.
std::int64_t rows_at_once(std::int64_t inner) {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(float)) / std::max<std::int64_t>(1, inner));
}

void multiply_bfloat16(Stream& stream, const PackedLinear& a) {
  const std::int64_t inner = a.x.columns(), most = rows_at_once(inner);
  float* const rounded = reinterpret_cast<float*>(stream.workspace());
  for (std::int64_t first = 0; first < a.x.rows(); first += most) {
    const std::int64_t count = std::min(most, a.x.rows() - first);
    for (std::int64_t i = 0; i < count; ++i) {
      const float* from = a.x.row(first + i);
      float* to = rounded + i * inner;
      for (std::int64_t k = 0; k < inner; ++k) to[k] = static_cast<float>(bfloat16(from[k]));
    }
    multiply(View<const float>(rounded, {count, inner}), a.panels_bfloat16.data, a.bias.data,
             a.y.row_slice(first, count));
  }
}

/// [N, K] to panels of [K][width], zeros beyond N.
template <class T>
std::vector<T> pack(const View<const float>& weight) {
  const std::int64_t outputs = weight.rows(), inner = weight.columns();
  std::vector<T> packed;
  std::int64_t size = 0;
  for (std::int64_t column = 0; column < outputs; column += kPanel) size += stored_width(outputs - column) * inner;
  packed.assign(static_cast<std::size_t>(size), T(0.0f));
  for (std::int64_t column = 0; column < outputs; column += kPanel) {
    T* panel = packed.data() + column * inner;
    const std::int64_t width = std::min(kPanel, outputs - column), stored = stored_width(width);
    for (std::int64_t j = 0; j < width; ++j)
      for (std::int64_t k = 0; k < inner; ++k) panel[k * stored + j] = T(weight(column + j, k));
  }
  return packed;
}

template <class T>
View<const T> find_or_pack(std::map<const float*, std::vector<T>>& known, const View<const float>& weight) {
  auto found = known.find(weight.data);
  if (found == known.end()) found = known.emplace(weight.data, pack<T>(weight)).first;
  return View<const T>(found->second.data(), {static_cast<std::int64_t>(found->second.size())});
}

}  // namespace

void packed_linear(Stream& stream, const PackedLinear& a) {
  if (stream.checks_arguments()) check(a);
  if (a.panels_bfloat16.data != nullptr)
    multiply_bfloat16(stream, a);
  else
    multiply(a.x, a.panels.data, a.bias.data, a.y);
  if (a.activation == Activation::identity) return;
  with_activation(a.activation, [&]<Activation kind>() {
    for (std::int64_t i = 0; i < a.y.rows(); ++i) {
      float* y = a.y.row(i);
      const std::int64_t n = a.y.columns();
      for (std::int64_t j = 0; j < n; ++j) y[j] = activate<kind>(y[j]);
    }
  });
}

PackedProduct::PackedProduct(View<const float> b, View<const float> bias) : inner_(b.rank == 2 ? b.rows() : 0) {
  require(b.rank == 2, "PackedProduct", "b must be a matrix", describe(b));
  require_matrix("PackedProduct", "b", b, b.rows(), b.columns());
  require_vector("PackedProduct", "bias", bias, b.columns());
  View<const float> weight = b;
  std::swap(weight.shape[0], weight.shape[1]);
  std::swap(weight.stride[0], weight.stride[1]);
  panels_ = pack<float>(weight);
  bias_.assign(bias.data, bias.data + bias.size());
}

void PackedProduct::operator()(View<const float> x, View<float> y) const {
  const auto columns = static_cast<std::int64_t>(bias_.size());
  if (y.rank != 2) fail_check("PackedProduct", "y must be a matrix", describe(y));  // no text is made where it is one
  require_matrix("PackedProduct", "y", y, y.rows(), columns);
  require_matrix("PackedProduct", "x", x, y.rows(), inner_);
  constexpr std::int64_t kGrain = 1 << 18;  // multiply-adds; about 5 microseconds of one core
  const std::int64_t blocks = (y.rows() + kPackedRows - 1) / kPackedRows;
  const std::int64_t work = std::max<std::int64_t>(1, kPackedRows * inner_ * columns);
  host::parallel_ranges(blocks, std::max<std::int64_t>(1, kGrain / work), [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t first = begin * kPackedRows, count = std::min(y.rows(), end * kPackedRows) - first;
    multiply(x.row_slice(first, count), panels_.data(), bias_.data(), y.row_slice(first, count));
  });
}

View<const float> PackedWeights::float32(View<const float> weight) {
  const std::lock_guard lock(mutex_);
  return find_or_pack(float32_, weight);
}

View<const bfloat16> PackedWeights::bfloat16s(View<const float> weight) {
  const std::lock_guard lock(mutex_);
  return find_or_pack(bfloat16_, weight);
}

View<const std::uint8_t> PackedWeights::resnet_flow(const ResNetFlowShape& shape, View<const float> weights,
                                                    Precision precision) {
  const std::lock_guard lock(mutex_);
  Memory& memory = resnet_flows_[{weights.data, precision}];
  if (memory.data() == nullptr) {
    memory = Memory(Device::cpu, static_cast<std::size_t>(resnet_flow_packed_bytes(shape)), "packed weights");
    cpu::resnet_flow_pack(shape, weights.data, precision, reinterpret_cast<std::uint8_t*>(memory.data()));
  }
  return {reinterpret_cast<const std::uint8_t*>(memory.data()), {resnet_flow_packed_bytes(shape)}};
}

}  // namespace otnfm
