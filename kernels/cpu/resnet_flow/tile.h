// A tile of rows through all blocks, forward and backward: everything of a Variant but its name. See layout.h and
// product.h.
#pragma once

#include "kernels/cpu/resnet_flow/rows.h"

namespace otnfm::cpu::resnet::OTNFM_PROCESSOR {

/// The rows of a tile: how many there are, and how many columns of a tile's features are computed for them.
struct Rows {
  std::int64_t begin, count, columns;
  OTNFM_HD Rows(std::int64_t tile, std::int64_t B) : begin(tile * kTile) {
    count = B - begin < kTile ? B - begin : kTile;
    columns = up(count, kRowPad);
  }
};

/// features[j][r] = x[r][j]; columns without a row are 0.
static inline void read_rows(const View<const float>& x, const Rows& rows, float* features) {
  const std::int64_t d = x.columns();
  for (std::int64_t j = 0; j < d; ++j) {
    for (std::int64_t r = 0; r < rows.count; ++r) features[j * kTile + r] = x.row(rows.begin + r)[j];
    for (std::int64_t r = rows.count; r < rows.columns; ++r) features[j * kTile + r] = 0.0f;
  }
}

static inline void write_rows(const float* features, const Rows& rows, const View<float>& y) {
  const std::int64_t d = y.columns();
  for (std::int64_t r = 0; r < rows.count; ++r)
    for (std::int64_t j = 0; j < d; ++j) y.row(rows.begin + r)[j] = features[j * kTile + r];
}

static inline void read_times(const View<const float>& t, const Rows& rows, float* times) {
  for (std::int64_t r = 0; r < rows.count; ++r) times[r] = t.data[rows.begin + r];
  for (std::int64_t r = rows.count; r < rows.columns; ++r) times[r] = 0.0f;
}

/// The first term in each place is x itself, so that phi = 0 gives x bit for bit.
static inline void add_residual(std::int64_t d, std::int64_t columns, const float* phi, const float* g, float* x) {
  for (std::int64_t j = 0; j < d; ++j)
    for (std::int64_t r = 0; r < columns; r += kFloats) {
      const std::int64_t at = j * kTile + r;
      store(x + at, multiply_add(load<Floats>(phi + at), load<Floats>(g + at), load<Floats>(x + at)));
    }
}

/// Where rounds(a.precision), the packed weights are rounded, or those that are kept, and so is every operand here.
static inline void forward_tile(const ResNetFlowForward& a, const float* packed, std::int64_t tile) {
  constexpr std::int64_t kInputs = ResNetFlowShape::kMaxDimension + 1, kWidth = ResNetFlowShape::kMaxWidth;
  alignas(64) float input[kInputs * kTile], rounded[kInputs * kTile];
  alignas(64) float phi_here[kInputs * kTile], g_here[kInputs * kTile];
  alignas(64) float hidden[2][kWidth * kTile];
  const ResNetFlowShape& s = a.shape;
  const Rows rows(tile, a.x.rows());
  const std::int64_t d = s.dimension, columns = rows.columns;
  const bool keeps = a.kept.data != nullptr;
  const Packed layout{s};
  const Kept kept{s};
  float* memory = keeps ? reinterpret_cast<float*>(a.kept.data) + tile * kept.tile_size() : nullptr;
  const float* const weights = keeps && rounds(a.precision) ? rounded_weights(a.kept, s, a.x.rows()) : a.weights.data;
  read_rows(a.x, rows, input);
  read_times(a.t, rows, input + d * kTile);
  for (std::int64_t k = 0; k < s.blocks; ++k) {
    float *phi = phi_here, *g = g_here;
    if (keeps) {
      std::memcpy(memory + kept.input(), input, (d + 1) * kTile * sizeof(float));
      phi = memory + kept.phi();
      g = memory + kept.g();
    }
    evaluate_phi(s, input + d * kTile, a.weights.data + k * s.block_size(), columns, phi);
    const float* from = input;
    if (rounds(a.precision)) {
      std::memcpy(rounded, input, (d + 1) * kTile * sizeof(float));
      round_to_bfloat16(rounded, (d + 1) * kTile);
      from = rounded;
    }
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t in = s.inputs(l), out = s.outputs(l);
      float* to = l == s.depth ? g : hidden[l % 2];
      const float* const bias = a.weights.data + s.bias(k, l);
      const Broadcast weight = rounds(a.precision) && !keeps ? Broadcast{packed + layout.weight(k, l), 1, layout.row(l)}
                                                             : Broadcast{weights + s.weight(k, l), in, 1};
      product<Start::bias>(out, in, columns, weight, from, kTile, to, kTile, bias);
      if (l == s.depth) break;
      // Whole rows of a tile, those of columns that were not computed included, would only cost time.
      const std::int64_t count = columns == kTile ? out * kTile : columns, steps = columns == kTile ? 1 : out;
      for (std::int64_t f = 0; f < steps; ++f) {
        float *const z = to + f * kTile, *const y = keeps ? memory + kept.output(l) + f * kTile : z;
        if (keeps)
          activate_tile_with_slope(s.activation, z, y, memory + kept.slope(l) + f * kTile, count);
        else
          activate_tile(s.activation, z, y, count);
        if (rounds(a.precision)) round_to_bfloat16(y, count);
      }
      from = keeps ? memory + kept.output(l) : to;
    }
    add_residual(d, columns, phi, g, input);
    if (keeps) memory += kept.block_size();
  }
  write_rows(input, rows, a.y);
}

/// One layer of one tile: adds to the gradients of its weight and bias, and makes that of its input from that of its
/// output, dz. `turned` is scratch for a transposed tile. In bfloat16 weight and input are rounded, and dz is here,
/// once the bias has had it.
static inline void backward_layer(const ResNetFlowShape& s, std::int64_t l, std::int64_t columns, bool bfloat16,
                                  const float* weight, const float* input, float* dz, float* dinput, float* turned,
                                  float* dweight, float* dbias) {
  const std::int64_t in = s.inputs(l), out = s.outputs(l), row = Partial{s}.row(l);
  for (std::int64_t o = 0; o < out; ++o) {
    Floats sum = load<Floats>(dz + o * kTile);
    for (std::int64_t r = kFloats; r < columns; r += kFloats) sum += load<Floats>(dz + o * kTile + r);
    dbias[o] += sum_of(sum);
    if (bfloat16) round_to_bfloat16(dz + o * kTile, columns);
  }
  if (Partial{s}.transposed(l)) {
    transpose(out, columns, dz, kTile, turned, row);
    product<Start::accumulate>(in, columns, row, {input, kTile, 1}, turned, row, dweight, row);
  } else {
    transpose(in, columns, input, kTile, turned, row);
    product<Start::accumulate>(out, columns, row, {dz, kTile, 1}, turned, row, dweight, row);
  }
  product<Start::zero>(in, out, columns, {weight, 1, in}, dz, kTile, dinput, kTile);
}

/// Of a block's residual phi g: dphi = dx g and the last sum's gradient dz = dx phi.
static inline void residual_gradient(std::int64_t d, std::int64_t columns, const float* dx, const float* phi,
                                     const float* g, float* dphi, float* dz) {
  for (std::int64_t j = 0; j < d; ++j)
    for (std::int64_t r = 0; r < columns; r += kFloats) {
      const std::int64_t at = j * kTile + r;
      store(dphi + at, load<Floats>(dx + at) * load<Floats>(g + at));
      store(dz + at, load<Floats>(dx + at) * load<Floats>(phi + at));
    }
}

static inline void backward_tile(const ResNetFlowBackward& a, std::int64_t tile, float* gradients) {
  constexpr std::int64_t kInputs = ResNetFlowShape::kMaxDimension + 1, kWidth = ResNetFlowShape::kMaxWidth;
  alignas(64) float dx[kInputs * kTile], dphi[kInputs * kTile], rounded[kInputs * kTile];
  alignas(64) float gradient[2][kWidth * kTile], turned[kWidth * kTile];
  const ResNetFlowShape& s = a.shape;
  const Rows rows(tile, a.dy.rows());
  const std::int64_t d = s.dimension, columns = rows.columns;
  const Kept kept{s};
  const Partial partial{s};
  const float* const memory = reinterpret_cast<const float*>(a.kept.data) + tile * kept.tile_size();
  const float* const weights = rounds(a.precision) ? rounded_weights(a.kept, s, a.dy.rows()) : a.weights.data;
  read_rows(a.dy, rows, dx);  // columns without a row are 0, and so add nothing
  for (std::int64_t k = s.blocks - 1; k >= 0; --k) {
    const float* const block = memory + k * kept.block_size();
    const float *phi = block + kept.phi(), *g = block + kept.g(), *input = block + kept.input();
    float *dz = gradient[0], *dinput = gradient[1];
    residual_gradient(d, columns, dx, phi, g, dphi, dz);
    add_phi_gradient(s, input + d * kTile, a.weights.data + k * s.block_size(), dphi, columns,
                     gradients + partial.phi(k));
    if (rounds(a.precision)) {
      std::memcpy(rounded, input, (d + 1) * kTile * sizeof(float));
      for (std::int64_t f = 0; f <= d; ++f) round_to_bfloat16(rounded + f * kTile, columns);
      input = rounded;
    }
    for (std::int64_t l = s.depth; l >= 0; --l) {
      backward_layer(s, l, columns, rounds(a.precision), weights + s.weight(k, l),
                     l == 0 ? input : block + kept.output(l - 1), dz, dinput, turned, gradients + partial.weight(k, l),
                     gradients + partial.bias(k, l));
      float* const next = dinput;
      dinput = dz;
      dz = next;
      if (l == 0) break;
      const float* const slope = block + kept.slope(l - 1);
      for (std::int64_t f = 0; f < s.width; ++f)
        for (std::int64_t r = 0; r < columns; r += kFloats)
          store(dz + f * kTile + r, load<Floats>(dz + f * kTile + r) * load<Floats>(slope + f * kTile + r));
    }
    for (std::int64_t j = 0; j < d; ++j)
      for (std::int64_t r = 0; r < columns; r += kFloats)
        store(dx + j * kTile + r, load<Floats>(dx + j * kTile + r) + load<Floats>(dz + j * kTile + r));
  }
  if (a.dx.data) write_rows(dx, rows, a.dx);
}

static void forward(const ResNetFlowForward& a, const float* packed, std::int64_t begin, std::int64_t end) {
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const Rows rows(tile, a.x.rows());
    if (packed != nullptr && rows.count <= kFewRows)
      forward_few_rows(FloatProducts{rounds(a.precision)}, a, packed, rows.begin, rows.count);
    else
      forward_tile(a, packed, tile);
  }
}

/// `tile` adds a tile's gradients to those of its chunk.
template <class Tile>
static void backward_chunks(const ResNetFlowBackward& a, std::int64_t begin, std::int64_t end, const Tile& tile) {
  const std::int64_t tiles = tiles_of(a.dy.rows()), size = Partial{a.shape}.size();
  const Chunks chunks(a.dy.rows());
  for (std::int64_t chunk = begin; chunk < end; ++chunk) {
    float* const gradients = reinterpret_cast<float*>(a.scratch.data) + chunk * size;
    std::memset(gradients, 0, size * sizeof(float));
    const std::int64_t first = chunk * chunks.tiles_each, behind = first + chunks.tiles_each;
    for (std::int64_t t = first; t < (behind < tiles ? behind : tiles); ++t) tile(a, t, gradients);
  }
}

static inline void backward(const ResNetFlowBackward& a, std::int64_t begin, std::int64_t end) {
  backward_chunks(a, begin, end, backward_tile);
}

static inline void round(const ResNetFlowShape& s, const float* weights, std::int64_t begin, std::int64_t end,
                         float* rounded) {
  for (std::int64_t unit = begin; unit < end; ++unit) {
    const std::int64_t l = unit % (s.depth + 1), at = s.weight(unit / (s.depth + 1), l), n = s.outputs(l) * s.inputs(l);
    std::memcpy(rounded + at, weights + at, n * sizeof(float));
    round_to_bfloat16(rounded + at, n);
  }
}

static inline void pack(const ResNetFlowShape& s, const float* weights, bool bfloat16, float* packed) {
  const Packed layout{s};
  std::memset(packed, 0, layout.size() * sizeof(float));
  for (std::int64_t k = 0; k < s.blocks; ++k)
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t in = s.inputs(l), out = s.outputs(l), row = layout.row(l);
      std::memcpy(packed + layout.bias(k, l), weights + s.bias(k, l), out * sizeof(float));
      float* const to = packed + layout.weight(k, l);
      for (std::int64_t o = 0; o < out; ++o)
        for (std::int64_t i = 0; i < in; ++i) to[i * row + o] = weights[s.weight(k, l) + o * in + i];
      if (bfloat16) round_to_bfloat16(to, in * row);
    }
}

}  // namespace otnfm::cpu::resnet::OTNFM_PROCESSOR
