// The innermost loops of kernels/cpu that are not a library's, compiled for each processor and chosen when the program
// runs (kernels/host/processor.h). They allocate nothing and throw nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/host/processor.h"

namespace otnfm::cpu {

// --- Packed products: loops/packed_rows.h

inline constexpr int kPackedPart = 16, kPackedParts = 4;  // a panel has 1 to 4 parts of 16 outputs
inline constexpr int kPackedRows = 6;

struct PackedTile {
  const float* x;  ///< [rows <= kPackedRows, inner], x_stride apart
  std::int64_t x_stride, rows, inner;
  const void* panel;  ///< [inner][16 parts], float or bfloat16
  int parts;
  float* sums;  ///< [rows][16 parts]
};

// --- Nearest points by biased distance: loops/argmin.h, on behalf of cpu/biased_argmin.cpp

inline constexpr std::int64_t kBoxPoints = 64;       // points a box
inline constexpr std::int64_t kMostBoxes = 1 << 12;  // as many as are kept in the workspace at once
inline constexpr std::int64_t kMostBoxDimensions = 16;
inline constexpr std::int64_t kBoxLanes = 16;  // the boxes are padded to a multiple of it

/// The best so far of a query: a lower value, of equal ones the lower index.
struct Nearest {
  float value;
  std::int64_t index;
};

/// Points in the workspace: coordinates and biases in arrays of their own, and the boxes. What fills the last block has
/// the bias -infinity, hence the value infinity.
struct Boxes {
  std::int64_t d = 0, blocks = 0, block_stride = 0, point_stride = 0;
  float *coordinate, *bias;   // [d, points], [points]
  float *low, *high, *shift;  // [d, blocks]; shift is s
  float* top;                 // [blocks]: max (g - 2 <s, y>) + |s|^2 + the roundings

  Boxes(std::byte* workspace, std::int64_t dimension, std::int64_t count) : d(dimension) {
    blocks = (count + kBoxPoints - 1) / kBoxPoints;
    block_stride = (blocks + kBoxLanes - 1) / kBoxLanes * kBoxLanes;
    point_stride = blocks * kBoxPoints;
    coordinate = reinterpret_cast<float*>(workspace);
    bias = coordinate + d * point_stride;
    low = bias + point_stride;
    high = low + d * block_stride;
    shift = high + d * block_stride;
    top = shift + d * block_stride;
  }
};

struct Loops {
  void (*packed_floats)(const PackedTile& tile);
  void (*packed_bfloat16s)(const PackedTile& tile);

  /// Makes the box of one block, of which `points` exist; coordinates and biases are in place.
  void (*enclose)(const Boxes& boxes, std::int64_t block, std::int64_t points);
  /// Offers the point nearest to x [d]; point j of the boxes has the index first + j.
  void (*search)(const Boxes& boxes, const float* x, std::int64_t first, Nearest* best);
  /// Offers the least offset_j - 2 product_j, with the index first + j.
  void (*search_row)(const float* offset, const float* product, std::int64_t columns, std::int64_t first,
                     Nearest* best);

  static const Loops portable, avx2, avx512;
};

/// Those for this machine.
inline const Loops& loops() {
  return host::best<Loops>();
}

}  // namespace otnfm::cpu
