// Where the ResNet-flow kernels, the CPU's and CUDA's, keep a tile of rows, and how they share a batch out.
//
// In a tile the rows are neighbours: feature f of row r is at [f * kTile + r]. So the lanes of a vector, or of a warp,
// are rows, a weight is broadcast from where the parameters have it, and no width or dimension has to be padded.
#pragma once

#include "kernels/resnet_flow.h"

namespace otnfm::resnet {

inline constexpr std::int64_t kTile = 64;
/// The gradients are added up in at most this many independent parts; as many threads can share a backward.
inline constexpr std::int64_t kMaxChunks = 16;
inline constexpr std::int64_t kMinChunkTiles = 2;

OTNFM_HD std::int64_t tiles_of(std::int64_t B) {
  return (B + kTile - 1) / kTile;
}

/// Features of the widest operand.
OTNFM_HD int widest(const ResNetFlowShape& s) {
  return static_cast<int>(s.depth > 0 && s.width > s.dimension + 1 ? s.width : s.dimension + 1);
}

OTNFM_HD int rounded_up(std::int64_t n, int step) {
  return static_cast<int>((n + step - 1) / step) * step;
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

}  // namespace otnfm::resnet
