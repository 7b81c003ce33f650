// Three passes over what the forward kept. First the gradients of all layers' sums: a block of threads takes a tile of
// rows through all blocks of the flow, last to first, as the forward does, and leaves them where phi, g and the slopes
// were. Then those of the weights: a block of threads has 32 x 32 of one matrix and adds up over the rows of a chunk;
// it waits for nobody, so a small batch too keeps as many multiprocessors busy as there are such parts (40 for 4 blocks
// of 3 x 64). Last the chunks are added up, in order.
//
// FLOPs: twice the forward's. Bytes: what was kept is read once, its half written, then read once by each pass over a
// matrix's columns; for 4 blocks of 3 x 64 that is 18 KB a row, from the second-level cache up to some thousand rows.
#include "kernels/device/launch.h"
#include "kernels/device/resnet_flow.h"
#include "kernels/device/shared.h"
#include "kernels/device/time_gradient.h"

namespace otnfm::cuda {
namespace {

using resnet::Chunks;
using resnet::Kept;

constexpr int kThreads = 128, kRows = resnet::kTile;
constexpr int kInputs = 8;         // of a thread at a time
constexpr int kInputsStaged = 32;  // of a weight matrix
constexpr int kSide = 32;          // of the part of a weight's gradient that a block of threads has

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

OTNFM_HD int sides(std::int64_t n) {
  return static_cast<int>((n + kSide - 1) / kSide);
}

OTNFM_HD int parts_of(const ResNetFlowShape& s, std::int64_t layer) {
  return sides(s.outputs(layer)) * sides(s.inputs(layer));
}

/// Part x of the matrices of block y of the flow, over the rows of chunk z. A thread has 4 outputs and 2 inputs.
__global__ void __launch_bounds__(kThreads) weight_gradient_kernel(ResNetFlowBackward a, Chunks chunks) {
  SHARED_ARRAY_2D(float, gradients, kSide, kRows + 1);
  SHARED_ARRAY_2D(float, operands, kSide, kRows + 1);
  const ResNetFlowShape& s = a.shape;
  const Kept kept{s};
  const int thread = static_cast<int>(threadIdx.x), o = thread / 16 * 4, i = thread % 16 * 2;
  const std::int64_t k = blockIdx.y, chunk = blockIdx.z, tiles = resnet::tiles_of(a.dy.rows());
  std::int64_t l = 0;
  int part = static_cast<int>(blockIdx.x);
  for (; part >= parts_of(s, l); ++l) part -= parts_of(s, l);
  const int in = static_cast<int>(s.inputs(l)), out = static_cast<int>(s.outputs(l));
  const int first_output = part / sides(in) * kSide, first_input = part % sides(in) * kSide;
  const std::int64_t gradients_at = k * kept.block_size() + (l == s.depth ? kept.phi() : kept.slope(l));
  const std::int64_t operands_at = k * kept.block_size() + (l == 0 ? kept.input() : kept.output(l - 1));
  const std::int64_t begin = chunk * chunks.tiles_each, end = min(begin + chunks.tiles_each, tiles);
  float total[4][2] = {}, bias = 0.0f;
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const float* const from = reinterpret_cast<const float*>(a.kept.data) + tile * kept.tile_size();
    __syncthreads();
    for (int e = thread; e < kSide * kRows; e += kThreads) {
      const int f = e / kRows, r = e % kRows;
      gradients[f][r] = first_output + f < out ? from[gradients_at + (first_output + f) * kRows + r] : 0.0f;
      operands[f][r] = first_input + f < in ? from[operands_at + (first_input + f) * kRows + r] : 0.0f;
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
    if (first_input == 0 && thread < kSide) {
      for (int r = 0; r < kRows; ++r) here += gradients[thread][r];
    }
#pragma unroll
    for (int p = 0; p < 4; ++p) {
#pragma unroll
      for (int q = 0; q < 2; ++q) total[p][q] += sum[p][q];
    }
    bias += here;
  }
  float* const to = reinterpret_cast<float*>(a.scratch.data) + chunk * s.weight_count();
#pragma unroll
  for (int p = 0; p < 4; ++p) {
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      const int output = first_output + o + p, input = first_input + i + q;
      if (output < out && input < in) to[s.weight(k, l) + std::int64_t{output} * in + input] = total[p][q];
    }
  }
  if (first_input == 0 && thread < kSide && first_output + thread < out)
    to[s.bias(k, l) + first_output + thread] = bias;
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
  launch(sum_gradient_kernel, Grid(resnet::tiles_of(a.dy.rows())), dim3(kThreads),
         ((kInputsStaged + 2 * kRows) * most + d * kRows) * sizeof(float), stream.cuda(), a);
  int parts = 0;
  for (std::int64_t l = 0; l <= s.depth; ++l) parts += parts_of(s, l);
  launch(weight_gradient_kernel,
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
