// What the CPU's ResNet-flow kernels share beyond device/resnet_flow.h: a chunk's gradients, and the variants for the
// processors.
#pragma once

#include "kernels/device/resnet_flow.h"

namespace otnfm::cpu::resnet {

using otnfm::resnet::Chunks;
using otnfm::resnet::Kept;
using otnfm::resnet::kTile;
using otnfm::resnet::tiles_of;

inline constexpr std::int64_t kRowPad = 16;  ///< rows of a tile are computed in steps of this, on every processor
inline constexpr std::int64_t kFewRows = 8;  ///< so many go one by one, outputs in the lanes, where weights are packed

OTNFM_HD constexpr std::int64_t up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

/// Weights laid out once for a forward that is called again and again, in words of 4 bytes: of each layer its bias,
/// then its weights [in][out] with rows padded by zeros to whole vectors. A variant may pair inputs up: then there are
/// half as many rows, and a gap behind them.
struct Packed {
  ResNetFlowShape shape;
  OTNFM_HD std::int64_t row(std::int64_t layer) const { return up(shape.outputs(layer), kRowPad); }
  OTNFM_HD std::int64_t layer_size(std::int64_t layer) const { return row(layer) * (shape.inputs(layer) + 1); }
  OTNFM_HD std::int64_t bias(std::int64_t block, std::int64_t layer) const {
    const std::int64_t at = block * block_size();
    return layer == 0 ? at : at + layer_size(0) + (layer - 1) * layer_size(shape.depth > 1 ? 1 : 0);
  }
  OTNFM_HD std::int64_t weight(std::int64_t block, std::int64_t layer) const { return bias(block, layer) + row(layer); }
  OTNFM_HD std::int64_t block_size() const {
    std::int64_t size = layer_size(shape.depth);
    if (shape.depth > 0) size += layer_size(0) + (shape.depth - 1) * layer_size(shape.depth > 1 ? 1 : 0);
    return size;
  }
  OTNFM_HD std::int64_t size() const { return shape.blocks * block_size(); }
};

/// The weights that a training forward in bfloat16 rounds for itself and its backward, behind the tiles of what is
/// kept, in words of 4 bytes. Either each is a float, where it is among the weights; or, where a processor multiplies
/// pairs, a layer has those of inputs [out][in / 2] for the forward and those of outputs [out / 2][in] for the
/// backward.
struct Rounded {
  ResNetFlowShape shape;
  OTNFM_HD static constexpr std::int64_t pairs(std::int64_t n) { return (n + 1) / 2; }
  OTNFM_HD std::int64_t of_inputs(std::int64_t block, std::int64_t layer) const {
    std::int64_t at = block * block_size();
    if (layer > 0) at += layer_size(0) + (layer - 1) * layer_size(shape.depth > 1 ? 1 : 0);
    return at;
  }
  OTNFM_HD std::int64_t of_outputs(std::int64_t block, std::int64_t layer) const {
    return of_inputs(block, layer) + shape.outputs(layer) * pairs(shape.inputs(layer));
  }
  OTNFM_HD std::int64_t layer_size(std::int64_t layer) const {
    const std::int64_t in = shape.inputs(layer), out = shape.outputs(layer);
    return out * pairs(in) + pairs(out) * in;
  }
  OTNFM_HD std::int64_t block_size() const {
    std::int64_t size = layer_size(shape.depth);
    if (shape.depth > 0) size += layer_size(0) + (shape.depth - 1) * layer_size(shape.depth > 1 ? 1 : 0);
    return size;
  }
  OTNFM_HD std::int64_t size() const {
    const std::int64_t of_pairs = shape.blocks * block_size(), of_floats = shape.weight_count();
    return of_pairs > of_floats ? of_pairs : of_floats;
  }
};

/// Where they are among what is kept of B rows.
inline float* rounded_weights(const View<std::uint8_t>& kept, const ResNetFlowShape& shape, std::int64_t B) {
  return reinterpret_cast<float*>(kept.data) + tiles_of(B) * Kept{shape}.tile_size();
}

/// A chunk's gradients, in floats. A weight's gradient is [out][in] with its rows padded to whole vectors, or, where
/// there are few inputs, [in][out].
struct Partial {
  ResNetFlowShape shape;
  OTNFM_HD bool transposed(std::int64_t layer) const { return shape.inputs(layer) < shape.outputs(layer); }
  OTNFM_HD std::int64_t row(std::int64_t layer) const {
    return up(transposed(layer) ? shape.outputs(layer) : shape.inputs(layer), kRowPad);
  }
  OTNFM_HD std::int64_t layer_size(std::int64_t layer) const {
    return row(layer) * (transposed(layer) ? shape.inputs(layer) : shape.outputs(layer)) +
           up(shape.outputs(layer), kRowPad);
  }
  OTNFM_HD std::int64_t weight(std::int64_t block, std::int64_t layer) const {
    std::int64_t at = block * block_size() + up(shape.phi_weights * shape.dimension, kRowPad);
    if (layer > 0) at += layer_size(0) + (layer - 1) * layer_size(shape.depth > 1 ? 1 : 0);
    return at;
  }
  OTNFM_HD std::int64_t bias(std::int64_t block, std::int64_t layer) const {
    return weight(block, layer) + layer_size(layer) - up(shape.outputs(layer), kRowPad);
  }
  OTNFM_HD std::int64_t phi(std::int64_t block) const { return block * block_size(); }
  OTNFM_HD std::int64_t block_size() const {
    std::int64_t size = up(shape.phi_weights * shape.dimension, kRowPad) + layer_size(shape.depth);
    if (shape.depth > 0) size += layer_size(0);
    if (shape.depth > 1) size += (shape.depth - 1) * layer_size(1);
    return size;
  }
  OTNFM_HD std::int64_t size() const { return shape.blocks * block_size(); }
};

/// One processor's way to compute tiles. All take every shape.
struct Variant {
  /// Tiles [begin, end) of the forward. `packed` are the weights as `pack` leaves them; null, where not
  /// rounds(a.precision), for a forward without them.
  void (*forward)(const ResNetFlowForward& a, const float* packed, std::int64_t begin, std::int64_t end);
  /// Chunks [begin, end) of the backward.
  void (*backward)(const ResNetFlowBackward& a, std::int64_t begin, std::int64_t end);
  /// Lays the weights out as Packed has it, rounded or not.
  void (*pack)(const ResNetFlowShape& s, const float* weights, bool bfloat16, float* packed);
  /// Rounds the weights of layers [begin, end), counted through all blocks, as Rounded has it.
  void (*round)(const ResNetFlowShape& s, const float* weights, std::int64_t begin, std::int64_t end, float* rounded);

  static const Variant portable, avx2, avx512, avx512_bf16;
};

// The ops by a given variant: for tests. The dispatched ops take the best.
void forward_by(Stream& stream, const Variant& by, const ResNetFlowForward& a);
void backward_by(Stream& stream, const Variant& by, const ResNetFlowBackward& a);

}  // namespace otnfm::cpu::resnet
