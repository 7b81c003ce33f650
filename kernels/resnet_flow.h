// A whole ResNet flow in one call: x <- x + phi_k(t) * g_k([x, t]) for k = 1 .. blocks (Bilos et al. 2021, equation 6),
// g_k a multilayer perceptron of `depth` hidden layers of `width`. A tile of rows goes through all blocks while its
// activations stay in the first-level cache (in shared memory on a GPU), so that only x, t and y touch the memory: 4 (2
// d + 1) bytes a row, against 8 width depth blocks of a kernel a layer.
//
// FLOPs of a row: 2 blocks ((d + 1) width + (depth - 1) width^2 + width d), and width depth blocks activations. The
// backward does twice that, from each hidden layer's output and its activation's slope. The forward keeps both, 8 width
// depth blocks bytes a row, rather than have the backward do the forward again: for 4 blocks of 3 x 64 that is 6 KB,
// which stays in the second-level cache up to some 100 rows a core, against 70 kFLOP and 768 activations.
//
// All weights arrive in one vector, which ops of their own on the same tape fill from the parameters (or from what was
// made of them: normalised weights). Block after block: phi's weights [K, d], then for each layer its weight [out, in]
// and its bias [out].
#pragma once

#include "kernels/device/activation.h"
#include "kernels/device/time_function.h"
#include "kernels/op.h"
#include "kernels/precision.h"

namespace otnfm {

struct ResNetFlowShape {
  std::int64_t dimension = 1;  ///< d
  std::int64_t blocks = 1;
  std::int64_t width = 1;        ///< of the hidden layers
  std::int64_t depth = 0;        ///< hidden layers; a block has depth + 1 weight matrices
  std::int64_t phi_weights = 0;  ///< K of kernels/time_function.h
  Activation activation = Activation::silu;
  TimeFunctionKind phi = TimeFunctionKind::tanh;

  static constexpr std::int64_t kMaxDimension = 64;
  static constexpr std::int64_t kMaxWidth = 128;

  OTNFM_HD std::int64_t inputs(std::int64_t layer) const { return layer == 0 ? dimension + 1 : width; }
  OTNFM_HD std::int64_t outputs(std::int64_t layer) const { return layer == depth ? dimension : width; }

  // Places among the weights. Within a block phi's weights come first.
  OTNFM_HD std::int64_t weight(std::int64_t block, std::int64_t layer) const {
    std::int64_t at = block * block_size() + phi_weights * dimension;
    if (layer > 0) at += width * (dimension + 2) + (layer - 1) * width * (width + 1);
    return at;
  }
  OTNFM_HD std::int64_t bias(std::int64_t block, std::int64_t layer) const {
    return weight(block, layer) + outputs(layer) * inputs(layer);
  }
  OTNFM_HD std::int64_t block_size() const {
    const std::int64_t last = dimension * (inputs(depth) + 1);
    return phi_weights * dimension + last +
           (depth == 0 ? 0 : width * (dimension + 2) + (depth - 1) * width * (width + 1));
  }
  OTNFM_HD std::int64_t weight_count() const { return blocks * block_size(); }
};

struct ResNetFlowForward {
  static constexpr const char* kName = "resnet_flow_forward";
  View<const float> t;                   // [B]
  View<const float> x;                   // [B, d]
  View<const float> weights;             // [shape.weight_count()]
  View<float> y;                         // [B, d], not x
  View<std::uint8_t> kept = {};          // [resnet_flow_kept_bytes()] for a backward, or no memory
  View<const std::uint8_t> packed = {};  // what cpu::resnet_flow_pack() made of `weights` for `precision`, or no memory
  ResNetFlowShape shape;
  // In bfloat16 the products are of rounded operands, added up in float32; tf32 is float32 here.
  Precision precision = Precision::float32;
};
OTNFM_DECLARE_OP(resnet_flow_forward, ResNetFlowForward);

/// Given dy, the gradients of all weights, added up in an order that is a function of the shapes alone, and dx. None
/// flows to t.
struct ResNetFlowBackward {
  static constexpr const char* kName = "resnet_flow_backward";
  View<const float> t;         // [B], as in the forward
  View<const float> dy;        // [B, d]
  View<const float> weights;   // [shape.weight_count()]
  View<std::uint8_t> kept;     // as the forward left it; used up: on CUDA the layers' gradients take its place
  View<float> dweights;        // [shape.weight_count()]
  View<float> dx;              // [B, d], or no memory: not wanted
  View<std::uint8_t> scratch;  // [resnet_flow_scratch_bytes()]
  ResNetFlowShape shape;
  // As in the forward: products of the operands as it rounded them, and of rounded gradients
  Precision precision = Precision::float32;
};
OTNFM_DECLARE_OP(resnet_flow_backward, ResNetFlowBackward);

/// Whether the ops above take this shape.
bool resnet_flow_fits(const ResNetFlowShape& shape);

/// What a training forward keeps (in bfloat16 the rounded weights too), and the backward's partial sums.
std::int64_t resnet_flow_kept_bytes(const ResNetFlowShape& shape, std::int64_t B, Precision precision);
std::int64_t resnet_flow_scratch_bytes(const ResNetFlowShape& shape, std::int64_t B);

/// What the weights need laid out for a forward on the CPU.
std::int64_t resnet_flow_packed_bytes(const ResNetFlowShape& shape);

namespace cpu {

/// Lays weights that do not change any more out for this processor, once: with them a forward of few rows, and any of
/// bfloat16, is several times as fast, and gives the same bits. `packed` is 64-byte aligned.
void resnet_flow_pack(const ResNetFlowShape& shape, const float* weights, Precision precision, std::uint8_t* packed);

}  // namespace cpu
}  // namespace otnfm
