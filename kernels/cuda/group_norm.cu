// 8 bytes a number forward and 12 backward (half of it in bfloat16), some 30 and 60 FLOPs: bound by memory. A block has
// one image's slab of whole groups, 64 bytes of channels or more, so that every row of it is whole sectors also where a
// group is two channels. It reads its slab three times forward (mean, variance, result) and twice backward (sums,
// result), of which the first comes from memory and the others from L1 or L2: a slab of 1024 positions is 64 KB. Sums
// are made channel by channel, so that a load of 16 bytes may span groups: in registers over rows, by shuffles, then
// over the warps through shared memory; their order depends on N, C and the type alone, and no atomics are used.
// Backward, with u = z a + b the activation's argument, p = weight (1 + scale), du = dy activation'(u) and, of each
// image and channel, A = sum du and B = sum du z:
//   dx = rstd (p du - mean(p A) - z mean(p B)), means over the group's numbers;
// A and B go to the workspace, from which a second kernel makes the gradients of weight, bias and film.
#include "kernels/group_norm.h"

#include <bit>

#include "kernels/device/column_fold.h"
#include "kernels/device/launch.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
constexpr std::int64_t kSlabBytes = 64;

/// How the channels are cut, and what a block needs to know of it.
struct Slabs {
  std::int64_t N, C, width;  ///< width: channels of a group
  std::int64_t groups;       ///< of a slab (the last may have fewer)
  std::int64_t count;        ///< slabs of an image
  int lanes;                 ///< threads side by side in a row: a power of two, at most a warp
};

template <class T>
Slabs slabs_of(const View<const Stored>& x, std::int64_t groups) {
  Slabs s = {.N = x.shape[1], .C = x.shape[2], .width = x.shape[2] / groups, .groups = 1, .count = 0, .lanes = 1};
  const std::int64_t group_bytes = std::max<std::int64_t>(1, s.width * static_cast<std::int64_t>(sizeof(T)));
  s.groups = std::min(groups, (kSlabBytes + group_bytes - 1) / group_bytes);
  s.count = (groups + s.groups - 1) / s.groups;
  return s;
}

/// Whether every slab's rows are loads of 16 bytes.
template <class T, class... Pointers>
bool vectors_fit(const Slabs& s, const Pointers*... data) {
  return aligned16(data...) && s.C % kWidest<T> == 0 && s.groups * s.width % kWidest<T> == 0;
}

int lanes_of(const Slabs& s, int vector) {
  const std::int64_t wanted = (s.groups * s.width + vector - 1) / vector;
  return static_cast<int>(std::bit_ceil(static_cast<std::uint64_t>(std::clamp<std::int64_t>(wanted, 1, kWarpSize))));
}

/// A block's part: channels [begin, end) of one image.
struct Part {
  std::int64_t image, first_group, groups, begin, end;

  __device__ explicit Part(const Slabs& s) {
    image = blockIdx.x / s.count;
    first_group = (blockIdx.x - image * s.count) * s.groups;
    groups = min(s.groups, s.C / s.width - first_group);
    begin = first_group * s.width;
    end = begin + groups * s.width;
  }
};

/// sums[k][channel] = the sum over rows of value k. make(channel) gives what adds a row to a thread's sums:
/// add(row, sums) with sums[k][v] for channel + v.
template <int kSums, int kVector, class Make>
__device__ __forceinline__ void sum_channels(const Slabs& s, const Part& part, float* sums, const Make& make) {
  SHARED_ARRAY(float, partial, kWarps* kSums* kWarpSize* kVector);
  const int lane = static_cast<int>(threadIdx.x) % s.lanes, row = static_cast<int>(threadIdx.x) / s.lanes;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize, in_warp = static_cast<int>(threadIdx.x) % kWarpSize;
  const int tile = s.lanes * kVector;
  const std::int64_t size = s.groups * s.width;
  for (std::int64_t first = part.begin; first < part.end; first += tile) {
    float sum[kSums][kVector] = {};
    const std::int64_t channel = first + lane * kVector;
    if (channel < part.end) {
      const auto add = make(channel);
#pragma unroll 4
      for (std::int64_t i = row; i < s.N; i += kThreads / s.lanes) add(i, sum);
    }
    for (int k = 0; k < kSums; ++k)
      for (int v = 0; v < kVector; ++v) {
        float value = sum[k][v];
        for (int step = s.lanes; step < kWarpSize; step *= 2) value += shuffle_xor(value, step);
        if (in_warp < s.lanes) partial[(warp * kSums + k) * kWarpSize * kVector + in_warp * kVector + v] = value;
      }
    __syncthreads();
    for (int t = static_cast<int>(threadIdx.x); t < kSums * tile; t += kThreads) {
      const int k = t / tile, v = t - k * tile;
      if (first + v >= part.end) continue;
      float value = 0;
      for (int w = 0; w < kWarps; ++w) value += partial[(w * kSums + k) * kWarpSize * kVector + v];
      sums[k * size + first - part.begin + v] = value;
    }
    __syncthreads();
  }
}

/// result(group, sum over the group's channels of value(channel)), by one thread a group; both counted in the slab.
template <class Value, class Result>
__device__ __forceinline__ void sum_groups(const Slabs& s, const Part& part, const Value& value, const Result& result) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize, lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (std::int64_t g = warp; g < part.groups; g += kWarps) {
    float sum = 0;
    for (std::int64_t c = lane; c < s.width; c += kWarpSize) sum += value(g * s.width + c);
    sum = warp_sum(sum);
    if (lane == 0) result(g, sum);
  }
  __syncthreads();
}

/// body(channel, rows of the thread) for each vector of channels that the thread has, then store(row).
template <int kVector, class Make>
__device__ __forceinline__ void for_each_row(const Slabs& s, const Part& part, const Make& make) {
  const int lane = static_cast<int>(threadIdx.x) % s.lanes, row = static_cast<int>(threadIdx.x) / s.lanes;
  for (std::int64_t channel = part.begin + lane * kVector; channel < part.end; channel += s.lanes * kVector) {
    const auto body = make(channel);
#pragma unroll 4
    for (std::int64_t i = row; i < s.N; i += kThreads / s.lanes) body(i);
  }
}

/// What an image's channels have in common: z = (x - mean) rstd, u = z slope + offset.
template <int kVector>
struct Channels {
  float mean[kVector], rstd[kVector], slope[kVector], offset[kVector];

  /// mean and rstd are of the slab's groups.
  template <class Op>
  __device__ Channels(const Slabs& s, const Part& part, const Op& a, const float* means, const float* rstds,
                      std::int64_t channel) {
    for (int v = 0; v < kVector; ++v) {
      const std::int64_t c = channel + v, g = (c - part.begin) / s.width;
      float scale = 1, shift = 0;
      if (a.film.data != nullptr) {
        scale += a.film.row(part.image)[c];
        shift = a.film.row(part.image)[s.C + c];
      }
      mean[v] = means[g];
      rstd[v] = rstds[g];
      slope[v] = a.weight.data[c] * scale;
      offset[v] = fma_rn(a.bias.data[c], scale, shift);
    }
  }
};

template <Activation kind, class T, int kVector>
__global__ void __launch_bounds__(kThreads) forward_kernel(GroupNorm a, Slabs s) {
  SHARED_DYNAMIC(float, sums);  // of a slab's channels, then a mean and a rstd for each of its groups
  float* const means = sums + s.groups * s.width;
  float* const rstds = means + s.groups;
  const Part part(s);
  const T* const x = static_cast<const T*>(a.x.data) + part.image * s.N * s.C;
  T* const y = static_cast<T*>(a.y.data) + part.image * s.N * s.C;
  const float count = static_cast<float>(s.N * s.width);
  const std::int64_t statistic = part.image * a.mean.columns() + part.first_group;

  sum_channels<1, kVector>(s, part, sums, [&](std::int64_t channel) {
    return [=](std::int64_t i, float(&sum)[1][kVector]) {
      const auto values = as_floats(load_group<kVector>(x + i * s.C + channel));
      for (int v = 0; v < kVector; ++v) sum[0][v] += values[v];
    };
  });
  sum_groups(
      s, part, [&](std::int64_t c) { return sums[c]; },
      [&](std::int64_t g, float sum) { a.mean.data[statistic + g] = means[g] = sum / count; });
  sum_channels<1, kVector>(s, part, sums, [&](std::int64_t channel) {
    Group<float, kVector> mean;
    for (int v = 0; v < kVector; ++v) mean[v] = means[(channel + v - part.begin) / s.width];
    return [=](std::int64_t i, float(&sum)[1][kVector]) {
      const auto values = as_floats(load_group<kVector>(x + i * s.C + channel));
      for (int v = 0; v < kVector; ++v) {
        const float difference = values[v] - mean[v];
        sum[0][v] = fma_rn(difference, difference, sum[0][v]);
      }
    };
  });
  sum_groups(
      s, part, [&](std::int64_t c) { return sums[c]; },
      [&](std::int64_t g, float sum) {
        a.rstd.data[statistic + g] = rstds[g] = 1.0f / sqrtf(sum / count + a.epsilon);
      });
  for_each_row<kVector>(s, part, [&](std::int64_t channel) {
    return [=, of = Channels<kVector>(s, part, a, means, rstds, channel)](std::int64_t i) {
      auto values = as_floats(load_group<kVector>(x + i * s.C + channel));
      for (int v = 0; v < kVector; ++v)
        values[v] = activate<kind>(fma_rn((values[v] - of.mean[v]) * of.rstd[v], of.slope[v], of.offset[v]));
      store_group(y + i * s.C + channel, stored_as<T>(values));
    };
  });
}

/// partial [B, 2C]: A | B of each image.
template <Activation kind, class T, int kVector>
__global__ void __launch_bounds__(kThreads) backward_kernel(GroupNormBackward a, Slabs s, float* partial) {
  SHARED_DYNAMIC(float, sums);  // A and B of a slab's channels, then two means for each of its groups
  const std::int64_t size = s.groups * s.width;
  float* const mean_a = sums + 2 * size;
  float* const mean_b = mean_a + s.groups;
  const Part part(s);
  const std::int64_t start = part.image * s.N * s.C;
  const T* const x = static_cast<const T*>(a.x.data) + start;
  const T* const dy = static_cast<const T*>(a.dy.data) + start;
  T* const dx = static_cast<T*>(a.dx.data) + start;
  const float count = static_cast<float>(s.N * s.width);
  const float* const means = a.mean.data + part.image * a.mean.columns() + part.first_group;
  const float* const rstds = a.rstd.data + part.image * a.mean.columns() + part.first_group;

  sum_channels<2, kVector>(s, part, sums, [&](std::int64_t channel) {
    return [=, of = Channels<kVector>(s, part, a, means, rstds, channel)](std::int64_t i, float(&sum)[2][kVector]) {
      const auto values = as_floats(load_group<kVector>(x + i * s.C + channel));
      const auto gradient = as_floats(load_group<kVector>(dy + i * s.C + channel));
      for (int v = 0; v < kVector; ++v) {
        const float z = (values[v] - of.mean[v]) * of.rstd[v];
        const float du = gradient[v] * activate_derivative<kind>(fma_rn(z, of.slope[v], of.offset[v]));
        sum[0][v] += du;
        sum[1][v] = fma_rn(du, z, sum[1][v]);
      }
    };
  });
  const float* const film = a.film.data == nullptr ? nullptr : a.film.row(part.image) + part.begin;
  const auto slope = [&](std::int64_t c) {
    return a.weight.data[part.begin + c] * (film == nullptr ? 1.0f : 1.0f + film[c]);
  };
  for (std::int64_t c = threadIdx.x; c < part.end - part.begin; c += kThreads) {
    partial[part.image * 2 * s.C + part.begin + c] = sums[c];
    partial[part.image * 2 * s.C + s.C + part.begin + c] = sums[size + c];
  }
  sum_groups(
      s, part, [&](std::int64_t c) { return slope(c) * sums[c]; },
      [&](std::int64_t g, float sum) { mean_a[g] = sum / count; });
  sum_groups(
      s, part, [&](std::int64_t c) { return slope(c) * sums[size + c]; },
      [&](std::int64_t g, float sum) { mean_b[g] = sum / count; });
  for_each_row<kVector>(s, part, [&](std::int64_t channel) {
    Group<float, kVector> group_a, group_b;
    for (int v = 0; v < kVector; ++v) {
      const std::int64_t g = (channel + v - part.begin) / s.width;
      group_a[v] = mean_a[g];
      group_b[v] = mean_b[g];
    }
    return [=, of = Channels<kVector>(s, part, a, means, rstds, channel)](std::int64_t i) {
      const auto values = as_floats(load_group<kVector>(x + i * s.C + channel));
      auto gradient = as_floats(load_group<kVector>(dy + i * s.C + channel));
      for (int v = 0; v < kVector; ++v) {
        const float z = (values[v] - of.mean[v]) * of.rstd[v];
        const float du = gradient[v] * activate_derivative<kind>(fma_rn(z, of.slope[v], of.offset[v]));
        gradient[v] = of.rstd[v] * (fma_rn(du, of.slope[v], -group_a[v]) - z * group_b[v]);
      }
      store_group(dx + i * s.C + channel, stored_as<T>(gradient));
    };
  });
}

/// dbias and dweight, sums over the images' A and B, and on the way dfilm, which visits each of them once too.
__global__ void fold_images_kernel(GroupNormBackward a, const float* partial) {
  const std::int64_t C = a.x.shape[2];
  fold_strip(
      blockIdx.x, 0, a.x.shape[0], 2 * C, 0.0f, Sum{},
      [&](std::int64_t image, std::int64_t j) {
        const std::int64_t c = j < C ? j : j - C;
        const float sum = partial[image * 2 * C + j];
        if (a.film.data == nullptr) return sum;
        a.dfilm.row(image)[j < C ? C + c : c] =
            j < C ? sum : fma_rn(a.weight.data[c], sum, a.bias.data[c] * partial[image * 2 * C + c]);
        return sum * (1.0f + a.film.row(image)[c]);
      },
      [&](std::int64_t j, float sum) { (j < C ? a.dbias.data[j] : a.dweight.data[j - C]) = sum; });
}

/// body.operator()<kind, T>()
template <class Body>
void with_kind_and_type(Activation activation, DType dtype, const Body& body) {
  with_stored_type(dtype, [&]<class T>() {
    if (activation == Activation::silu)
      body.template operator()<Activation::silu, T>();
    else
      body.template operator()<Activation::identity, T>();
  });
}

}  // namespace

void group_norm(Stream& stream, const GroupNorm& a) {
  if (a.x.shape[2] == 0) return;
  with_kind_and_type(a.activation, a.x.dtype, [&]<Activation kind, class T>() {
    Slabs s = slabs_of<T>(a.x, a.mean.columns());
    const bool vectors = vectors_fit<T>(s, static_cast<const T*>(a.x.data), static_cast<T*>(a.y.data));
    s.lanes = lanes_of(s, vectors ? kWidest<T> : 1);
    const std::size_t shared_bytes = static_cast<std::size_t>(s.groups * (s.width + 2)) * sizeof(float);
    launch(vectors ? forward_kernel<kind, T, kWidest<T>> : forward_kernel<kind, T, 1>, a.x.shape[0] * s.count, kThreads,
           shared_bytes, stream.cuda(), a, s);
  });
}

void group_norm_backward(Stream& stream, const GroupNormBackward& a) {
  if (a.x.shape[2] == 0) return;
  float* const partial = reinterpret_cast<float*>(stream.workspace());
  with_kind_and_type(a.activation, a.x.dtype, [&]<Activation kind, class T>() {
    Slabs s = slabs_of<T>(a.x, a.mean.columns());
    const bool vectors = vectors_fit<T>(s, static_cast<const T*>(a.x.data), static_cast<const T*>(a.dy.data),
                                        static_cast<T*>(a.dx.data));
    s.lanes = lanes_of(s, vectors ? kWidest<T> : 1);
    const std::size_t shared_bytes = static_cast<std::size_t>(s.groups * (2 * s.width + 2)) * sizeof(float);
    launch(vectors ? backward_kernel<kind, T, kWidest<T>> : backward_kernel<kind, T, 1>, a.x.shape[0] * s.count,
           kThreads, shared_bytes, stream.cuda(), a, s, partial);
  });
  launch(fold_images_kernel, (2 * a.x.shape[2] + kFoldColumns - 1) / kFoldColumns, kFoldThreads, 0, stream.cuda(), a,
         partial);
}

}  // namespace otnfm::cuda
