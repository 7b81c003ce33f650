// Three passes over what the forward kept. First the gradients of all layers' sums: a block of threads takes a tile of
// rows through all blocks of the flow, last to first, as the forward does, and leaves them where phi, g and the slopes
// were. Then those of the weights: a block of threads has 32 x 32 of one matrix and adds up over the rows of a chunk;
// it waits for nobody, so a small batch too keeps as many multiprocessors busy as there are such parts (40 for 4 blocks
// of 3 x 64). Last the chunks are added up, in order.
//
// FLOPs: twice the forward's. Bytes: what was kept is read once, its half written, then read once by each pass over a
// matrix's columns; for 4 blocks of 3 x 64 that is 18 KB a row, from the second-level cache up to some thousand rows.
//
// In bfloat16 the first two passes multiply by mma.m16n8k16. The gradients of the sums stay in memory as float32, which
// the bias's gradient and phi's are made from, and are rounded where they become operands; so are the outputs, each
// time they are read. The bytes are the same, and now the bound: 140 kFLOP a row are 0.14 ns of an H100's tensor cores,
// 18 KB are 3 ns of its second-level cache.
#include "kernels/device/launch.h"
#include "kernels/device/mma.h"
#include "kernels/device/resnet_flow.h"
#include "kernels/device/shared.h"
#include "kernels/device/time_gradient.h"

namespace otnfm::cuda {
namespace {

using resnet::Chunks;
using resnet::Kept;

constexpr int kThreads = 128, kRows = resnet::kTile;
constexpr int kInputs = 8;          // of a thread at a time
constexpr int kInputsStaged = 32;   // of a weight matrix
constexpr int kSide = 32;           // of the part of a weight's gradient that a block of threads has
constexpr int kColumnsStaged = 64;  // of a weight matrix, in bfloat16
constexpr int kSkew = 8;            // bfloat16 numbers between rows

__global__ void __launch_bounds__(kThreads, 4) sum_gradient_kernel(ResNetFlowBackward a) {
  SHARED_DYNAMIC(float, memory);
  const ResNetFlowShape& s = a.shape;
  const int d = static_cast<int>(s.dimension), most = resnet::widest(s), thread = static_cast<int>(threadIdx.x);
  const int r = thread % kRows, part = thread / kRows;
  float *const staged = memory, *const dx = staged + most * kInputsStaged;
  float *from = dx + d * kRows + r, *to = from + most * kRows;  // this row of a layer's gradients
  const std::int64_t first = blockIdx.x * std::int64_t{kRows};
  const Kept kept{s};
  float* const tile = reinterpret_cast<float*>(a.kept.data) + blockIdx.x * kept.tile_size() + r;
  for (int e = thread; e < d * kRows; e += kThreads) {
    const std::int64_t row = first + e / d;
    dx[e % d * kRows + e / d] = row < a.dy.rows() ? a.dy.row(row)[e % d] : 0.0f;  // rows beyond the batch add nothing
  }
  for (std::int64_t k = s.blocks - 1; k >= 0; --k) {
    float* const block = tile + k * kept.block_size();
    __syncthreads();
    for (int j = part; j < d; j += kThreads / kRows) {
      float &phi = block[kept.phi() + j * kRows], &g = block[kept.g() + j * kRows];
      const float upstream = dx[j * kRows + r], dg = upstream * phi;
      g *= upstream;
      phi = from[j * kRows] = dg;
    }
    for (std::int64_t l = s.depth; l >= 0; --l) {
      const int in = static_cast<int>(s.inputs(l)), out = static_cast<int>(s.outputs(l));
      const int wanted = l == 0 ? d : in;  // t has no gradient
      const float* const weight = a.weights.data + s.weight(k, l);
      for (int begin = 0; begin < wanted; begin += kInputsStaged) {
        const int count = min(kInputsStaged, wanted - begin);
        __syncthreads();
        for (int e = thread; e < out * kInputsStaged; e += kThreads) {
          const int o = e / kInputsStaged, i = e % kInputsStaged;
          staged[e] = i < count ? weight[std::int64_t{o} * in + begin + i] : 0.0f;
        }
        __syncthreads();
        for (int i = part * kInputs; i < count; i += kInputs * (kThreads / kRows)) {
          float sum[kInputs] = {};
          for (int o = 0; o < out; ++o) {
            const float value = from[o * kRows];
#pragma unroll
            for (int q = 0; q < kInputs; ++q) sum[q] = fma_rn(staged[o * kInputsStaged + i + q], value, sum[q]);
          }
#pragma unroll
          for (int q = 0; q < kInputs; ++q) {
            if (i + q >= count) continue;
            const int at = (begin + i + q) * kRows;
            if (l == 0) {
              dx[at + r] += sum[q];
            } else {
              float& slope = block[kept.slope(l - 1) + at];
              slope = to[at] = sum[q] * slope;
            }
          }
        }
      }
      float* const next = from;
      from = to;
      to = next;
    }
  }
  if (!a.dx.data) return;
  __syncthreads();
  for (int e = thread; e < d * kRows; e += kThreads) {
    const std::int64_t row = first + e / d;
    if (row < a.dx.rows()) a.dx.row(row)[e % d] = dx[e % d * kRows + e / d];
  }
}

/// The same in bfloat16: a warp has 16 rows of its own, as in the forward. Rows of operands are bfloat16[row_size];
/// features beyond a layer's are 0 up to the next multiple of 16.
__global__ void __launch_bounds__(kThreads, 4) sum_gradient_bfloat16_kernel(ResNetFlowBackward a) {
  SHARED_DYNAMIC(float, memory);
  const ResNetFlowShape& s = a.shape;
  const int d = static_cast<int>(s.dimension), row_size = resnet::rounded_up(resnet::widest(s), 16) + kSkew;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize, g = lane / 4, q = 2 * (lane % 4);
  const int mine = thread / kWarpSize * 16;  // this warp's first row
  float* const dx = memory;
  bfloat16* const staged = reinterpret_cast<bfloat16*>(dx + d * kRows);
  bfloat16 *gradients = staged + kColumnsStaged * row_size, *results = gradients + kRows * row_size;
  const std::int64_t first = blockIdx.x * std::int64_t{kRows};
  const Kept kept{s};
  float* const tile = reinterpret_cast<float*>(a.kept.data) + blockIdx.x * kept.tile_size();
  for (int e = thread; e < d * kRows; e += kThreads) {
    const std::int64_t row = first + e / d;
    dx[e % d * kRows + e / d] = row < a.dy.rows() ? a.dy.row(row)[e % d] : 0.0f;  // rows beyond the batch add nothing
  }
  __syncthreads();
  for (std::int64_t k = s.blocks - 1; k >= 0; --k) {
    float* const block = tile + k * kept.block_size();
    __syncwarp();
    for (int e = lane; e < 16 * resnet::rounded_up(d, 16); e += kWarpSize) {
      const int r = mine + e % 16, j = e / 16, at = j * kRows + r;
      float dg = 0.0f;
      if (j < d) {
        float &phi = block[kept.phi() + at], &upstream_of_phi = block[kept.g() + at];
        dg = dx[at] * phi;
        upstream_of_phi *= dx[at];
        phi = dg;
      }
      gradients[r * row_size + j] = bfloat16(dg);
    }
    for (std::int64_t l = s.depth; l >= 0; --l) {
      const int in = static_cast<int>(s.inputs(l)), out = static_cast<int>(s.outputs(l)),
                steps = resnet::rounded_up(out, 16);
      const int wanted = l == 0 ? d : in, columns = resnet::rounded_up(wanted, 16);  // t has no gradient
      const float* const weight = a.weights.data + s.weight(k, l);
      const bfloat16* const from = gradients + (mine + g) * row_size + q;
      bfloat16* const to = results + (mine + g) * row_size + q;
      for (int begin = 0; begin < columns; begin += kColumnsStaged) {
        const int count = min(kColumnsStaged, columns - begin);
        __syncthreads();
        for (int e = thread; e < count * steps; e += kThreads) {
          const int o = e / count, i = e % count;
          const bool there = begin + i < wanted && o < out;
          staged[i * row_size + o] = bfloat16(there ? weight[std::int64_t{o} * in + begin + i] : 0.0f);
        }
        __syncthreads();
        for (int n = 0; n < count; n += 8) {
          const int column = begin + n + q;  // of c[0] and c[2]; the next is that of c[1] and c[3]
          float c[4] = {};
          const bfloat16* const across = staged + (n + g) * row_size + q;
          multiply_rows(c, from, across, row_size, steps);
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int i = column + e % 2, at = i * kRows + mine + g + e / 2 * 8;
            if (i >= wanted) {
              c[e] = 0.0f;
            } else if (l == 0) {
              dx[at] += c[e];
            } else {
              float& slope = block[kept.slope(l - 1) + at];
              slope = c[e] *= slope;
            }
          }
          if (l == 0) continue;
          *reinterpret_cast<unsigned*>(to + begin + n) = pack_bfloat16(c[0], c[1]);
          *reinterpret_cast<unsigned*>(to + 8 * row_size + begin + n) = pack_bfloat16(c[2], c[3]);
        }
        __syncwarp();
      }
      bfloat16* const next = gradients;
      gradients = results;
      results = next;
    }
  }
  if (!a.dx.data) return;
  __syncthreads();
  for (int e = thread; e < d * kRows; e += kThreads) {
    const std::int64_t row = first + e / d;
    if (row < a.dx.rows()) a.dx.row(row)[e % d] = dx[e % d * kRows + e / d];
  }
}

OTNFM_HD int sides(std::int64_t n) {
  return static_cast<int>((n + kSide - 1) / kSide);
}

OTNFM_HD int parts_of(const ResNetFlowShape& s, std::int64_t layer) {
  return sides(s.outputs(layer)) * sides(s.inputs(layer));
}

/// Part x of the matrices of block y of the flow, over the rows of chunk z.
struct Part {
  std::int64_t k, layer = 0, first_tile, end_tile;
  int in, out, first_output, first_input;
  std::int64_t gradients_at, operands_at;  // in what a tile keeps

  __device__ Part(const ResNetFlowBackward& a, const Chunks& chunks) : k(blockIdx.y) {
    const ResNetFlowShape& s = a.shape;
    const Kept kept{s};
    int part = static_cast<int>(blockIdx.x);
    for (; part >= parts_of(s, layer); ++layer) part -= parts_of(s, layer);
    in = static_cast<int>(s.inputs(layer));
    out = static_cast<int>(s.outputs(layer));
    first_output = part / sides(in) * kSide;
    first_input = part % sides(in) * kSide;
    gradients_at = k * kept.block_size() + (layer == s.depth ? kept.phi() : kept.slope(layer));
    operands_at = k * kept.block_size() + (layer == 0 ? kept.input() : kept.output(layer - 1));
    first_tile = blockIdx.z * chunks.tiles_each;
    end_tile = min(first_tile + chunks.tiles_each, resnet::tiles_of(a.dy.rows()));
  }
  __device__ float gradient(const float* tile, int f, int r) const {
    return first_output + f < out ? tile[gradients_at + (first_output + f) * kRows + r] : 0.0f;
  }
  __device__ float operand(const float* tile, int f, int r) const {
    return first_input + f < in ? tile[operands_at + (first_input + f) * kRows + r] : 0.0f;
  }
};

/// A thread has 4 outputs and 2 inputs.
__global__ void __launch_bounds__(kThreads) weight_gradient_kernel(ResNetFlowBackward a, Chunks chunks) {
  SHARED_ARRAY_2D(float, gradients, kSide, kRows + 1);
  SHARED_ARRAY_2D(float, operands, kSide, kRows + 1);
  const ResNetFlowShape& s = a.shape;
  const Part part(a, chunks);
  const int thread = static_cast<int>(threadIdx.x), o = thread / 16 * 4, i = thread % 16 * 2;
  float total[4][2] = {}, bias = 0.0f;
  for (std::int64_t tile = part.first_tile; tile < part.end_tile; ++tile) {
    const float* const from = reinterpret_cast<const float*>(a.kept.data) + tile * Kept{s}.tile_size();
    __syncthreads();
    for (int e = thread; e < kSide * kRows; e += kThreads) {
      const int f = e / kRows, r = e % kRows;
      gradients[f][r] = part.gradient(from, f, r);
      operands[f][r] = part.operand(from, f, r);
    }
    __syncthreads();
    float sum[4][2] = {}, here = 0.0f;
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int p = 0; p < 4; ++p) {
#pragma unroll
        for (int q = 0; q < 2; ++q) sum[p][q] = fma_rn(gradients[o + p][r], operands[i + q][r], sum[p][q]);
      }
    }
    if (part.first_input == 0 && thread < kSide) {
      for (int r = 0; r < kRows; ++r) here += gradients[thread][r];
    }
#pragma unroll
    for (int p = 0; p < 4; ++p) {
#pragma unroll
      for (int q = 0; q < 2; ++q) total[p][q] += sum[p][q];
    }
    bias += here;
  }
  float* const to = reinterpret_cast<float*>(a.scratch.data) + blockIdx.z * s.weight_count();
#pragma unroll
  for (int p = 0; p < 4; ++p) {
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      const int output = part.first_output + o + p, input = part.first_input + i + q;
      if (output < part.out && input < part.in)
        to[s.weight(part.k, part.layer) + std::int64_t{output} * part.in + input] = total[p][q];
    }
  }
  if (part.first_input == 0 && thread < kSide && part.first_output + thread < part.out)
    to[s.bias(part.k, part.layer) + part.first_output + thread] = bias;
}

/// The same in bfloat16: a warp has 16 x 16. A tile's products are added up by the tensor cores, which truncate; the
/// tiles are added up in float32.
__global__ void __launch_bounds__(kThreads) weight_gradient_bfloat16_kernel(ResNetFlowBackward a, Chunks chunks) {
  SHARED_ARRAY_2D(bfloat16, gradients, kSide, kRows + kSkew);
  SHARED_ARRAY_2D(bfloat16, operands, kSide, kRows + kSkew);
  const ResNetFlowShape& s = a.shape;
  const Part part(a, chunks);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int g = lane / 4, q = 2 * (lane % 4), o = warp / 2 * 16 + g, i = warp % 2 * 16;
  constexpr int kEach = kSide / (kThreads / kWarpSize);  // features that a warp stages
  float total[2][4] = {}, bias = 0.0f;                   // of output warp * kEach + lane
  for (std::int64_t tile = part.first_tile; tile < part.end_tile; ++tile) {
    const float* const from = reinterpret_cast<const float*>(a.kept.data) + tile * Kept{s}.tile_size();
    __syncthreads();
    for (int here = 0; here < kEach; ++here) {
      const int f = warp * kEach + here;
      float sum = 0.0f;
      for (int r = lane; r < kRows; r += kWarpSize) {
        const float gradient = part.gradient(from, f, r);
        sum += gradient;
        gradients[f][r] = bfloat16(gradient);
        operands[f][r] = bfloat16(part.operand(from, f, r));
      }
      sum = warp_sum(sum);
      if (lane == here) bias += sum;
    }
    __syncthreads();
    float c[2][4] = {};
    for (int r = q; r < kRows; r += 16) {
      const unsigned fragment_a[4] = {pair_at(&gradients[o][r]), pair_at(&gradients[o + 8][r]),
                                      pair_at(&gradients[o][r + 8]), pair_at(&gradients[o + 8][r + 8])};
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const bfloat16* const across = &operands[i + 8 * n + g][r];
        const unsigned fragment_b[2] = {pair_at(across), pair_at(across + 8)};
        multiply_16x8x16(c[n], fragment_a, fragment_b);
      }
    }
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) total[n][e] += c[n][e];
    }
  }
  float* const to = reinterpret_cast<float*>(a.scratch.data) + blockIdx.z * s.weight_count();
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int output = part.first_output + o + e / 2 * 8, input = part.first_input + i + 8 * n + q + e % 2;
      if (output < part.out && input < part.in)
        to[s.weight(part.k, part.layer) + std::int64_t{output} * part.in + input] = total[n][e];
    }
  }
  const int output = part.first_output + warp * kEach + lane;
  if (part.first_input == 0 && lane < kEach && output < part.out) to[s.bias(part.k, part.layer) + output] = bias;
}

/// The sums over the chunks; phi's weights are not among them.
__global__ void add_up_kernel(ResNetFlowBackward a, std::int64_t chunks) {
  const std::int64_t n = a.shape.weight_count(), size = a.shape.block_size();
  const std::int64_t phi = a.shape.phi_weights * a.shape.dimension;
  const float* const parts = reinterpret_cast<const float*>(a.scratch.data);
  for (std::int64_t e = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; e < n;
       e += std::int64_t{kThreads} * gridDim.x) {
    if (e % size < phi) continue;
    float sum = 0.0f;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += parts[chunk * n + e];
    a.dweights.data[e] = sum;
  }
}

/// The gradient of phi in block z of the flow, which the first pass has left where g was.
struct KeptUpstream {
  const float* kept;
  Kept layout;
  __device__ float operator()(std::int64_t i, std::int64_t j) const {
    return kept[i / kRows * layout.tile_size() + blockIdx.z * layout.block_size() + layout.g() + j * kRows + i % kRows];
  }
};

}  // namespace

void resnet_flow_backward(Stream& stream, const ResNetFlowBackward& a) {
  const ResNetFlowShape& s = a.shape;
  const Chunks chunks(a.dy.rows());
  const std::size_t most = static_cast<std::size_t>(resnet::widest(s)), d = static_cast<std::size_t>(s.dimension);
  const std::size_t row_size = static_cast<std::size_t>(resnet::rounded_up(resnet::widest(s), 16) + kSkew);
  const Grid tiles(resnet::tiles_of(a.dy.rows()));
  if (rounds(a.precision))
    launch(sum_gradient_bfloat16_kernel, tiles, dim3(kThreads),
           d * kRows * sizeof(float) + (kColumnsStaged + 2 * kRows) * row_size * sizeof(bfloat16), stream.cuda(), a);
  else
    launch(sum_gradient_kernel, tiles, dim3(kThreads), ((kInputsStaged + 2 * kRows) * most + d * kRows) * sizeof(float),
           stream.cuda(), a);
  int parts = 0;
  for (std::int64_t l = 0; l <= s.depth; ++l) parts += parts_of(s, l);
  launch(rounds(a.precision) ? weight_gradient_bfloat16_kernel : weight_gradient_kernel,
         dim3(static_cast<unsigned>(parts), static_cast<unsigned>(s.blocks), static_cast<unsigned>(chunks.count)),
         dim3(kThreads), 0, stream.cuda(), a, chunks);
  launch(add_up_kernel, grid_for(s.weight_count(), kThreads), kThreads, 0, stream.cuda(), a, chunks.count);
  const View<const float> phi(a.weights.data, {s.phi_weights, s.dimension});
  const View<float> dphi(a.dweights.data, {s.phi_weights, s.dimension});
  with_time_function(s.phi, [&]<TimeFunctionKind kind>() {
    if constexpr (kind != TimeFunctionKind::identity)
      launch_time_gradient<kind>(stream, a.t, phi, KeptUpstream{reinterpret_cast<const float*>(a.kept.data), Kept{s}},
                                 dphi, s.blocks, s.block_size());
  });
}

}  // namespace otnfm::cuda
