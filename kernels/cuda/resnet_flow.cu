// A block of threads takes 64 rows through all blocks of the flow; x, t and two layers of operands stay in shared
// memory, and so does the part of a weight matrix that is in use. The device's memory sees x, t and y once; each tile
// reads all weights from the second-level cache, 4 bytes a weight: for 4 blocks of 3 x 64, 140 KB against 4.5 MFLOP of
// 64 rows.
//
// In bfloat16 a warp has 16 rows of its own and multiplies by mma.m16n8k16; the operands' rows are padded by 8, so that
// the fragments of a warp are read without conflicts. In float32 a thread has one row and 8 outputs at a time: one
// number of the row and 8 weights, which a warp reads at once, for 8 multiplications. The sums run over k in order.
#include "kernels/resnet_flow.h"

#include <algorithm>

#include "kernels/device/launch.h"
#include "kernels/device/mma.h"
#include "kernels/device/resnet_flow.h"
#include "kernels/device/shared.h"
#include "kernels/error.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 128, kRows = resnet::kTile;
constexpr int kOutputs = 8;         // of a thread at a time, in float32
constexpr int kOutputsStaged = 32;  // of a weight matrix, in float32
constexpr int kColumnsStaged = 64;  // in bfloat16
constexpr int kSkew = 8;            // bfloat16 numbers between rows

/// phi_j(t) with w at the block's weights of phi.
__device__ __forceinline__ float evaluate_phi(const ResNetFlowShape& s, const float* w, std::int64_t j, float t) {
  const std::int64_t d = s.dimension, K = s.phi_weights;
  switch (s.phi) {
    case TimeFunctionKind::identity:
      return t;
    case TimeFunctionKind::linear:
      return time_function_value<TimeFunctionKind::linear>(w, j, d, K, t);
    case TimeFunctionKind::tanh:
      return time_function_value<TimeFunctionKind::tanh>(w, j, d, K, t);
    case TimeFunctionKind::log:
      return time_function_value<TimeFunctionKind::log>(w, j, d, K, t);
    case TimeFunctionKind::fourier:
      return time_function_value<TimeFunctionKind::fourier>(w, j, d, K, t);
    case TimeFunctionKind::bounded_fourier:
      return time_function_value<TimeFunctionKind::bounded_fourier>(w, j, d, K, t);
  }
  return t;
}

/// The tile's [x, t] as features: state[f * kRows + r]. Rows beyond the batch are 0.
__device__ __forceinline__ void read_state(const ResNetFlowForward& a, std::int64_t first, float* state) {
  const int d = static_cast<int>(a.shape.dimension);
  for (int e = static_cast<int>(threadIdx.x); e < (d + 1) * kRows; e += kThreads) {
    const int r = e / (d + 1), f = e % (d + 1);
    const std::int64_t row = first + r;
    const bool there = row < a.x.rows();
    state[f * kRows + r] = !there ? 0.0f : (f < d ? a.x.row(row)[f] : a.t.data[row]);
  }
}

__device__ __forceinline__ void write_state(const ResNetFlowForward& a, std::int64_t first, const float* state) {
  const int d = static_cast<int>(a.shape.dimension);
  for (int e = static_cast<int>(threadIdx.x); e < d * kRows; e += kThreads) {
    const int r = e / d, j = e % d;
    if (first + r < a.y.rows()) a.y.row(first + r)[j] = state[j * kRows + r];
  }
}

template <Activation activation, bool keeps>
__global__ void __launch_bounds__(kThreads, 4) float32_kernel(ResNetFlowForward a) {
  SHARED_DYNAMIC(float, memory);
  const ResNetFlowShape& s = a.shape;
  const int d = static_cast<int>(s.dimension), most = resnet::widest(s), thread = static_cast<int>(threadIdx.x);
  const int r = thread % kRows, part = thread / kRows;
  float *const staged = memory, *const state = staged + most * kOutputsStaged;
  float *from = state + (d + 1) * kRows + r, *to = from + most * kRows;  // this row of the operands
  const std::int64_t first = blockIdx.x * std::int64_t{kRows};
  const resnet::Kept kept{s};
  float* keep = keeps ? reinterpret_cast<float*>(a.kept.data) + blockIdx.x * kept.tile_size() + r : nullptr;
  read_state(a, first, state);
  for (std::int64_t k = 0; k < s.blocks; ++k) {
    __syncthreads();
    for (int f = part; f <= d; f += kThreads / kRows) {
      from[f * kRows] = state[f * kRows + r];
      if constexpr (keeps) keep[kept.input() + f * kRows] = state[f * kRows + r];
    }
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const int in = static_cast<int>(s.inputs(l)), out = static_cast<int>(s.outputs(l));
      const float *const weight = a.weights.data + s.weight(k, l), *const bias = a.weights.data + s.bias(k, l);
      for (int begin = 0; begin < out; begin += kOutputsStaged) {
        const int count = min(kOutputsStaged, out - begin);
        __syncthreads();
        for (int e = thread; e < in * kOutputsStaged; e += kThreads) {
          const int o = e / in, i = e % in;
          staged[i * kOutputsStaged + o] = o < count ? weight[std::int64_t{begin + o} * in + i] : 0.0f;
        }
        __syncthreads();
        for (int o = part * kOutputs; o < count; o += kOutputs * (kThreads / kRows)) {
          float sum[kOutputs];
#pragma unroll
          for (int q = 0; q < kOutputs; ++q) sum[q] = o + q < count ? bias[begin + o + q] : 0.0f;
          for (int i = 0; i < in; ++i) {
            const float value = from[i * kRows];
#pragma unroll
            for (int q = 0; q < kOutputs; ++q) sum[q] = fma_rn(staged[i * kOutputsStaged + o + q], value, sum[q]);
          }
#pragma unroll
          for (int q = 0; q < kOutputs; ++q) {
            if (o + q >= count) continue;
            const float value = l < s.depth ? activate<activation>(sum[q]) : sum[q];
            to[(begin + o + q) * kRows] = value;
            if constexpr (keeps) {
              const int at = (begin + o + q) * kRows;
              keep[(l < s.depth ? kept.output(l) : kept.g()) + at] = value;
              if (l < s.depth) keep[kept.slope(l) + at] = activate_derivative<activation>(sum[q]);
            }
          }
        }
      }
      float* const next = from;
      from = to;
      to = next;
    }
    __syncthreads();
    const float t = state[d * kRows + r];
    for (int j = part; j < d; j += kThreads / kRows) {  // phi = 0 leaves the bits of x alone
      float& x = state[j * kRows + r];
      const float phi = evaluate_phi(s, a.weights.data + k * s.block_size(), j, t);
      if constexpr (keeps) keep[kept.phi() + j * kRows] = phi;
      x = fma_rn(phi, from[j * kRows], x);
    }
    if constexpr (keeps) keep += kept.block_size();
  }
  __syncthreads();
  write_state(a, first, state);
}

/// Rows of operands are bfloat16[row_size], a multiple of 16 and kSkew; features beyond a layer's are 0 up to the next
/// multiple of 16. What is kept is kept in float32, as above: its 8 lanes of neighbouring rows fill a sector.
template <Activation activation, bool keeps>
__global__ void __launch_bounds__(kThreads, 4) bfloat16_kernel(ResNetFlowForward a) {
  SHARED_DYNAMIC(float, memory);
  const ResNetFlowShape& s = a.shape;
  const int d = static_cast<int>(s.dimension), row_size = resnet::rounded_up(resnet::widest(s), 16) + kSkew;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize, g = lane / 4, q = 2 * (lane % 4);
  const int mine = thread / kWarpSize * 16;  // this warp's first row
  float *const state = memory, *const phi = state + (d + 1) * kRows;
  bfloat16* const staged = reinterpret_cast<bfloat16*>(phi + d * kRows);
  bfloat16 *operands = staged + kColumnsStaged * row_size, *results = operands + kRows * row_size;
  const std::int64_t first = blockIdx.x * std::int64_t{kRows};
  const resnet::Kept kept{s};
  float* keep = keeps ? reinterpret_cast<float*>(a.kept.data) + blockIdx.x * kept.tile_size() : nullptr;
  read_state(a, first, state);
  __syncthreads();
  for (std::int64_t k = 0; k < s.blocks; ++k) {
    __syncwarp();
    for (int e = lane; e < 16 * resnet::rounded_up(d + 1, 16); e += kWarpSize) {
      const int r = mine + e % 16, f = e / 16, at = f * kRows + r;
      operands[r * row_size + f] = bfloat16(f <= d ? state[at] : 0.0f);
      if (keeps && f <= d) keep[kept.input() + at] = state[at];
    }
    for (int e = lane; e < 16 * d; e += kWarpSize) {
      const int r = mine + e % 16, j = e / 16, at = j * kRows + r;
      phi[at] = evaluate_phi(s, a.weights.data + k * s.block_size(), j, state[d * kRows + r]);
      if (keeps) keep[kept.phi() + at] = phi[at];
    }
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const int in = static_cast<int>(s.inputs(l)), out = static_cast<int>(s.outputs(l));
      const int steps = resnet::rounded_up(in, 16), columns = resnet::rounded_up(out, 16);
      const float *const weight = a.weights.data + s.weight(k, l), *const bias = a.weights.data + s.bias(k, l);
      const bfloat16* const from = operands + (mine + g) * row_size + q;
      bfloat16* const to = results + (mine + g) * row_size + q;
      for (int begin = 0; begin < columns; begin += kColumnsStaged) {
        const int count = min(kColumnsStaged, columns - begin);
        __syncthreads();
        for (int e = thread; e < count * steps; e += kThreads) {
          const int o = e / steps, i = e % steps;
          const bool there = begin + o < out && i < in;
          staged[o * row_size + i] = bfloat16(there ? weight[std::int64_t{begin + o} * in + i] : 0.0f);
        }
        __syncthreads();
        for (int n = 0; n < count; n += 8) {
          const int column = begin + n + q;  // of c[0] and c[2]; the next is that of c[1] and c[3]
          const float left = column < out ? bias[column] : 0.0f, right = column + 1 < out ? bias[column + 1] : 0.0f;
          float c[4] = {left, right, left, right};
          const bfloat16* const across = staged + (n + g) * row_size + q;
          multiply_rows(c, from, across, row_size, steps);
          if (l < s.depth) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
              const float z = c[e];
              const bool there = column + e % 2 < out;
              c[e] = there ? activate<activation>(z) : 0.0f;
              if (!keeps || !there) continue;
              const int at = (column + e % 2) * kRows + mine + g + e / 2 * 8;
              keep[kept.output(l) + at] = c[e];
              keep[kept.slope(l) + at] = activate_derivative<activation>(z);
            }
            *reinterpret_cast<unsigned*>(to + begin + n) = pack_bfloat16(c[0], c[1]);
            *reinterpret_cast<unsigned*>(to + 8 * row_size + begin + n) = pack_bfloat16(c[2], c[3]);
          } else {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
              const int j = column + e % 2, at = j * kRows + mine + g + e / 2 * 8;
              if (j >= out) continue;
              state[at] = fma_rn(phi[at], c[e], state[at]);  // phi = 0 leaves the bits of x alone
              if (keeps) keep[kept.g() + at] = c[e];
            }
          }
        }
        __syncwarp();
      }
      bfloat16* const next = operands;
      operands = results;
      results = next;
    }
    if (keeps) keep += kept.block_size();
  }
  __syncthreads();
  write_state(a, first, state);
}

}  // namespace

void resnet_flow_forward(Stream& stream, const ResNetFlowForward& a) {
  if (a.x.empty()) return;
  const ResNetFlowShape& s = a.shape;
  const std::int64_t blocks = (a.x.rows() + kRows - 1) / kRows;
  const std::size_t most = static_cast<std::size_t>(resnet::widest(s)),
                    inputs = static_cast<std::size_t>(s.dimension + 1);
  const std::size_t row_size = static_cast<std::size_t>(resnet::rounded_up(resnet::widest(s), 16) + kSkew);
  const std::size_t state_bytes = inputs * kRows * sizeof(float), phi_bytes = (inputs - 1) * kRows * sizeof(float);
  with_activation(s.activation, [&]<Activation activation>() {
    if (rounds(a.precision))
      launch(a.kept.data ? bfloat16_kernel<activation, true> : bfloat16_kernel<activation, false>, Grid(blocks),
             dim3(kThreads), state_bytes + phi_bytes + (kColumnsStaged + 2 * kRows) * row_size * sizeof(bfloat16),
             stream.cuda(), a);
    else
      launch(a.kept.data ? float32_kernel<activation, true> : float32_kernel<activation, false>, Grid(blocks),
             dim3(kThreads), state_bytes + (kOutputsStaged + 2 * kRows) * most * sizeof(float), stream.cuda(), a);
  });
}

}  // namespace otnfm::cuda
