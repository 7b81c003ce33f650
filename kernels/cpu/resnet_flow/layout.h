// Where the CPU's ResNet-flow kernels keep things: a tile of rows, its kept activations, a chunk's gradients.
//
// In a tile the rows are neighbours: feature f of row r is at [f * kTile + r]. So the lanes of a vector are rows, a
// weight is broadcast from where the parameters have it, and no width or dimension has to be padded.
#pragma once

#include "kernels/resnet_flow.h"

namespace otnfm::cpu::resnet {

inline constexpr std::int64_t kTile = 64;
inline constexpr std::int64_t kRowPad = 16;  ///< rows of a tile are computed in steps of this, on every processor
inline constexpr std::int64_t kFewRows = 8;  ///< so many go one by one, outputs in the lanes, where weights are packed
/// The gradients are added up in at most this many independent parts; as many threads can share a backward.
inline constexpr std::int64_t kMaxChunks = 16;
inline constexpr std::int64_t kMinChunkTiles = 2;

OTNFM_HD constexpr std::int64_t up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}
OTNFM_HD std::int64_t tiles_of(std::int64_t B) {
  return (B + kTile - 1) / kTile;
}

/// What a tile keeps of a block, in floats: [x, t] (d + 1 features), phi (d), g (d), then of each hidden layer its
/// output and its slope (width each).
struct Kept {
  ResNetFlowShape shape;
  OTNFM_HD std::int64_t input() const { return 0; }
  OTNFM_HD std::int64_t phi() const { return (shape.dimension + 1) * kTile; }
  OTNFM_HD std::int64_t g() const { return phi() + shape.dimension * kTile; }
  OTNFM_HD std::int64_t output(std::int64_t layer) const {
    return g() + shape.dimension * kTile + layer * 2 * shape.width * kTile;
  }
  OTNFM_HD std::int64_t slope(std::int64_t layer) const { return output(layer) + shape.width * kTile; }
  OTNFM_HD std::int64_t block_size() const { return output(shape.depth); }
  OTNFM_HD std::int64_t tile_size() const { return shape.blocks * block_size(); }
};

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

/// The parts of a batch that add up their gradients on their own: a function of B alone.
struct Chunks {
  std::int64_t count, tiles_each;
  OTNFM_HD explicit Chunks(std::int64_t B) {
    const std::int64_t tiles = tiles_of(B), wanted = (tiles + kMinChunkTiles - 1) / kMinChunkTiles;
    count = wanted < kMaxChunks ? wanted : kMaxChunks;
    tiles_each = count == 0 ? 0 : (tiles + count - 1) / count;
    if (tiles_each > 0) count = (tiles + tiles_each - 1) / tiles_each;
  }
};

/// One processor's way to compute tiles. Each stands in a file of its own, compiled for that processor.
struct Variant {
  const char* name;
  bool (*runs_here)();
  /// Tiles [begin, end) of the forward. `packed` are the weights as `pack` leaves them; null, where not a.bfloat16, for
  /// a forward without them.
  void (*forward)(const ResNetFlowForward& a, const float* packed, std::int64_t begin, std::int64_t end);
  /// Chunks [begin, end) of the backward.
  void (*backward)(const ResNetFlowBackward& a, std::int64_t begin, std::int64_t end);
  /// Lays the weights out as Packed has it, rounded or not.
  void (*pack)(const ResNetFlowShape& s, const float* weights, bool bfloat16, float* packed);
};

/// Those that run on this processor, the fastest first. All take every shape.
int variant_count();
const Variant& variant(int index);

// The ops by a given variant: for tests. The dispatched ops take the first.
void forward_by(Stream& stream, const Variant& by, const ResNetFlowForward& a);
void backward_by(Stream& stream, const Variant& by, const ResNetFlowBackward& a);

}  // namespace otnfm::cpu::resnet
