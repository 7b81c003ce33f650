#include "kernels/cpu/packed_linear.h"

#include <algorithm>
#include <cstring>

#include "kernels/check.h"

namespace otnfm::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif
constexpr int kVectors = 4;
constexpr std::int64_t kPanel = kLanes * kVectors;
constexpr int kTileRows = 4;
typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef std::uint16_t Halves __attribute__((vector_size(kLanes * sizeof(std::uint16_t))));
typedef std::uint32_t Words __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));

/// Outputs of a panel, rounded up to whole vectors: how wide its rows are stored.
std::int64_t stored_width(std::int64_t outputs) {
  return (std::min(kPanel, outputs) + kLanes - 1) / kLanes * kLanes;
}

Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

Lanes load(const bfloat16* from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  const Words words = __builtin_convertvector(halves, Words) << 16;
  Lanes lanes;
  std::memcpy(&lanes, &words, sizeof(lanes));
  return lanes;
}

Lanes multiply_add(float a, Lanes b, Lanes c) {
  for (int lane = 0; lane < kLanes; ++lane) c[lane] = fma_rn(a, b[lane], c[lane]);
  return c;
}

/// kRows rows of y, the outputs of one panel: bias and sums, without the activation.
template <int kRows, int kCount, class Weight>
void tile(const float* x, std::int64_t x_stride, const Weight* panel, const float* bias, std::int64_t inner, float* y,
          std::int64_t y_stride, std::int64_t width) {
  constexpr std::int64_t kWidth = kCount * kLanes;
  Lanes sums[kRows][kCount] = {};
  for (std::int64_t k = 0; k < inner; ++k) {
    Lanes w[kCount];
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) w[v] = load(panel + k * kWidth + v * kLanes);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kCount; ++v) sums[i][v] = multiply_add(x[i * x_stride + k], w[v], sums[i][v]);
  }
  for (int i = 0; i < kRows; ++i) {
    float values[kWidth];
    std::memcpy(values, sums[i], sizeof(values));
    if (bias != nullptr)
      for (std::int64_t j = 0; j < width; ++j) values[j] += bias[j];
    std::memcpy(y + i * y_stride, values, static_cast<std::size_t>(width) * sizeof(float));
  }
}

template <int kCount, class Weight>
void rows_of_panel(const PackedLinear& a, const View<const float>& x, const View<float>& y, const Weight* panel,
                   std::int64_t column, std::int64_t width) {
  const float* bias = a.bias.data == nullptr ? nullptr : a.bias.data + column;
  std::int64_t i = 0;
  for (; i + kTileRows <= y.rows(); i += kTileRows)
    tile<kTileRows, kCount>(x.row(i), x.row_stride(), panel, bias, x.columns(), y.row(i) + column, y.row_stride(),
                            width);
  for (; i < y.rows(); ++i)
    tile<1, kCount>(x.row(i), x.row_stride(), panel, bias, x.columns(), y.row(i) + column, y.row_stride(), width);
}

template <class Weight>
void multiply(const PackedLinear& a, const View<const float>& x, const View<float>& y, const Weight* panels) {
  const std::int64_t inner = x.columns(), outputs = y.columns();
  for (std::int64_t column = 0; column < outputs; column += kPanel) {
    const Weight* panel = panels + column * inner;
    const std::int64_t width = std::min(kPanel, outputs - column);
    switch (stored_width(width) / kLanes) {
      case 1:
        rows_of_panel<1>(a, x, y, panel, column, width);
        break;
      case 2:
        rows_of_panel<2>(a, x, y, panel, column, width);
        break;
      case 3:
        rows_of_panel<3>(a, x, y, panel, column, width);
        break;
      default:
        rows_of_panel<4>(a, x, y, panel, column, width);
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
    multiply(a, View<const float>(View<float>(rounded, {count, inner})), a.y.row_slice(first, count),
             a.panels_bfloat16.data);
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
    multiply(a, a.x, a.y, a.panels.data);
  if (a.activation == Activation::identity) return;
  with_activation(a.activation, [&]<Activation kind>() {
    for (std::int64_t i = 0; i < a.y.rows(); ++i) {
      float* y = a.y.row(i);
      const std::int64_t n = a.y.columns();
      for (std::int64_t j = 0; j < n; ++j) y[j] = activate<kind>(y[j]);
    }
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
                                                    bool bfloat16) {
  const std::lock_guard lock(mutex_);
  Memory& memory = resnet_flows_[{weights.data, bfloat16}];
  if (memory.data() == nullptr) {
    memory = Memory(Device::cpu, static_cast<std::size_t>(resnet_flow_packed_bytes(shape)), "packed weights");
    resnet_flow_pack(shape, weights.data, bfloat16, reinterpret_cast<std::uint8_t*>(memory.data()));
  }
  return {reinterpret_cast<const std::uint8_t*>(memory.data()), {resnet_flow_packed_bytes(shape)}};
}

}  // namespace otnfm::cpu
