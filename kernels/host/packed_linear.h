// y = activation(x W^T + bias) where W is packed once and used for ever: the product of a flow that only samples.
//
// A GEMM library allocates inside a call and blocks by the sizes; this does neither. Element (i, j) is the fused sum
// fma(x_i1, w_j1, fma(x_i0, w_j0, 0)) ... in the order of k, then bias and activation, whatever the batch that row i
// stands in: so a sample does not depend on how a request was split. W lies in panels of 64 outputs, [K][64], so that a
// panel stays in the cache while all rows pass; 6 rows are summed in registers (cpu/loops/packed_rows.h). 2 B K N
// FLOPs.
//
// bfloat16 keeps W as bfloat16 (half the bytes) and rounds x to it; products and sums are float32.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/device/activation.h"
#include "kernels/memory.h"
#include "kernels/resnet_flow.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace otnfm {

struct PackedLinear {
  static constexpr const char* kName = "packed_linear";
  View<const float> x;                        // [B, K], rows contiguous
  View<const float> panels = {};              // PackedWeights::float32(), or
  View<const bfloat16> panels_bfloat16 = {};  // PackedWeights::bfloat16s(): one of the two has memory
  View<const float> bias = {};                // [N], or no memory
  View<float> y;                              // [B, N]
  Activation activation = Activation::identity;
};

/// On a CPU stream. Allocates nothing; runs on the calling thread. bfloat16 takes K <= 2^21.
void packed_linear(Stream& stream, const PackedLinear& a);

/// y = x b + bias of a b that is packed once, on all threads: sums as above, so that a row of y is a function of its
/// row of x alone, bit for bit, whatever batch it stands in and whatever the number of threads.
class PackedProduct {
 public:
  PackedProduct() = default;
  /// b [K, N], bias [N]; both are copied.
  PackedProduct(View<const float> b, View<const float> bias);

  /// x [M, K], y [M, N], rows contiguous. Allocates nothing. InputError for other shapes.
  void operator()(View<const float> x, View<float> y) const;

 private:
  std::int64_t inner_ = 0;
  std::vector<float> panels_, bias_;
};

/// The packed form of weights that do not change any more, made at the first request and kept. Any thread may ask.
class PackedWeights {
 public:
  /// weight [N, K], in host memory, known by its address.
  View<const float> float32(View<const float> weight);
  View<const bfloat16> bfloat16s(View<const float> weight);
  /// What resnet_flow_pack() makes of the weights of a whole flow, known by their address.
  View<const std::uint8_t> resnet_flow(const ResNetFlowShape& shape, View<const float> weights, Precision precision);

 private:
  std::mutex mutex_;
  std::map<const float*, std::vector<float>> float32_;
  std::map<const float*, std::vector<bfloat16>> bfloat16_;
  std::map<std::pair<const float*, Precision>, Memory> resnet_flows_;
};

}  // namespace otnfm
