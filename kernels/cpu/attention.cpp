// A thread takes an image's head at a time, a block of queries after another: the products are oneDNN's, on the thread
// alone, and the softmax between them has vectors of keys. What a block needs (logits, their gradients) is as large as
// the scratch memory allows, kMostQueries queries at most. FLOPs as in kernels/attention.h, at the rate of products of
// D columns.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/cpu/library/onednn.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

constexpr std::int64_t kMostQueries = 128;

/// Memory of one thread: the head's q, k, v (and more) as contiguous floats, a block of logits, the library's.
struct HeadMemory {
  std::int64_t floats_of_head, floats_of_block, queries;
  std::size_t bytes() const {
    return static_cast<std::size_t>(floats_of_head + floats_of_block) * sizeof(float) + onednn::kAloneScratchBytes;
  }
};

/// `matrices` [N, D] and `blocks` [queries, N], for one thread at least; `threads` receives for how many.
HeadMemory share_memory(const char* op, std::int64_t N, std::int64_t D, std::int64_t matrices, std::int64_t blocks,
                        int& threads) {
  const auto memory_for = [&](std::int64_t queries) {
    return HeadMemory{matrices * N * D, blocks * queries * N, queries};
  };
  HeadMemory memory = memory_for(std::min(N, kMostQueries));
  while (memory.queries > 1 && memory.bytes() > Stream::kWorkspaceBytes / 2) memory = memory_for(memory.queries / 2);
  if (memory.bytes() > Stream::kWorkspaceBytes)
    throw InputError(std::string(op) + " of " + std::to_string(N) + " positions of " + std::to_string(D) +
                     " channels a head is too large for its scratch memory");
  threads = static_cast<int>(std::min<std::size_t>(host::thread_count(), Stream::kWorkspaceBytes / memory.bytes()));
  return memory;
}

/// c [m, n] = op(a) op(b) + beta c, all contiguous but for c's rows.
struct SmallProduct {
  std::byte* scratch;

  void operator()(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                  const float* b, float* c, float beta = 0) const {
    const Gemm g{.transpose_a = transpose_a,
                 .transpose_b = transpose_b,
                 .beta = beta,
                 .m = m,
                 .n = n,
                 .k = k,
                 .row_stride_a = transpose_a ? m : k,
                 .row_stride_b = transpose_b ? k : n,
                 .row_stride_c = n};
    onednn::gemm_alone(scratch, g, a, b, c);
  }
};

template <class T>
void take_columns(const T* from, std::int64_t row_stride, std::int64_t N, std::int64_t D, float* to) {
  for (std::int64_t i = 0; i < N; ++i)
    for (std::int64_t e = 0; e < D; ++e) to[i * D + e] = static_cast<float>(from[i * row_stride + e]);
}
template <class T>
void put_columns(const float* from, std::int64_t N, std::int64_t D, T* to, std::int64_t row_stride) {
  for (std::int64_t i = 0; i < N; ++i)
    for (std::int64_t e = 0; e < D; ++e) to[i * row_stride + e] = T(from[i * D + e]);
}

/// body(image, head, memory of the thread) for each head of each image.
template <class Body>
void for_each_head(Stream& stream, std::int64_t B, std::int64_t heads, int threads, const HeadMemory& memory,
                   const Body& body) {
  host::parallel_items(0, B * heads, 1, static_cast<int>(std::min<std::int64_t>(threads, B * heads)),
                       [&](std::int64_t item, int part) {
                         const host::OneThread alone;
                         std::byte* const own = stream.workspace() + static_cast<std::size_t>(part) * memory.bytes();
                         body(item / heads, item % heads, own);
                       });
}

}  // namespace

void attention(Stream& stream, const Attention& a) {
  if (a.y.empty()) return;
  const std::int64_t B = a.y.shape[0], N = a.y.shape[1], C = a.y.shape[2], heads = a.log_sum.shape[1], D = C / heads;
  int threads = 1;
  const HeadMemory memory = share_memory(a.kName, N, D, 4, 1, threads);
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  with_stored_type(a.y.dtype, [&]<class T>() {
    const T* const qkv = a.qkv.as<T>().data;
    T* const y = a.y.as<T>().data;
    for_each_head(stream, B, heads, threads, memory, [&](std::int64_t b, std::int64_t head, std::byte* own) {
      const SmallProduct product{own};
      float* const q = reinterpret_cast<float*>(own + onednn::kAloneScratchBytes);
      float *const k = q + N * D, *const v = k + N * D, *const result = v + N * D, *const block = result + N * D;
      const T* const from = qkv + b * N * 3 * C + head * D;
      take_columns(from, 3 * C, N, D, q);
      take_columns(from + C, 3 * C, N, D, k);
      take_columns(from + 2 * C, 3 * C, N, D, v);
      for (std::int64_t first = 0; first < N; first += memory.queries) {
        const std::int64_t queries = std::min(memory.queries, N - first);
        product(false, true, queries, N, D, q + first * D, k, block);
        for (std::int64_t i = 0; i < queries; ++i) {
          float* const row = block + i * N;
          float most = row[0];
          for (std::int64_t j = 1; j < N; ++j) most = row[j] > most ? row[j] : most;
          float sum = 0;
#pragma omp simd reduction(+ : sum)
          for (std::int64_t j = 0; j < N; ++j) sum += row[j] = exp_of((row[j] - most) * scale);
          const float inverse = 1.0f / sum;
          for (std::int64_t j = 0; j < N; ++j) row[j] *= inverse;
          a.log_sum.data[(b * heads + head) * N + first + i] = most * scale + std::log(sum);
        }
        product(false, false, queries, D, N, block, v, result + first * D);
      }
      put_columns(result, N, D, y + b * N * C + head * D, C);
    });
  });
}

// With p as before, D_i = y_i . dy_i and ds_ij = p_ij (dy_i . v_j - D_i) / sqrt(D): dv = p^T dy, dq = ds k, dk = ds^T
// q.
void attention_backward(Stream& stream, const AttentionBackward& a) {
  if (a.y.empty()) return;
  const std::int64_t B = a.y.shape[0], N = a.y.shape[1], C = a.y.shape[2], heads = a.log_sum.shape[1], D = C / heads;
  int threads = 1;
  const HeadMemory memory = share_memory(a.kName, N, D, 8, 2, threads);
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  with_stored_type(a.y.dtype, [&]<class T>() {
    const T *const qkv = a.qkv.as<T>().data, *const y = a.y.as<T>().data, *const all_dy = a.dy.as<T>().data;
    T* const dqkv = a.dqkv.as<T>().data;
    for_each_head(stream, B, heads, threads, memory, [&](std::int64_t b, std::int64_t head, std::byte* own) {
      const SmallProduct product{own};
      float* const q = reinterpret_cast<float*>(own + onednn::kAloneScratchBytes);
      float *const k = q + N * D, *const v = k + N * D, *const dy = v + N * D, *const dq = dy + N * D;
      float *const dk = dq + N * D, *const dv = dk + N * D, *const result = dv + N * D, *const p = result + N * D;
      float* const ds = p + memory.queries * N;
      const T* const from = qkv + b * N * 3 * C + head * D;
      take_columns(from, 3 * C, N, D, q);
      take_columns(from + C, 3 * C, N, D, k);
      take_columns(from + 2 * C, 3 * C, N, D, v);
      take_columns(all_dy + b * N * C + head * D, C, N, D, dy);
      take_columns(y + b * N * C + head * D, C, N, D, result);
      for (std::int64_t first = 0; first < N; first += memory.queries) {
        const std::int64_t queries = std::min(memory.queries, N - first);
        const float beta = first == 0 ? 0.0f : 1.0f;
        product(false, true, queries, N, D, q + first * D, k, p);
        product(false, true, queries, N, D, dy + first * D, v, ds);
        for (std::int64_t i = 0; i < queries; ++i) {
          float dot = 0;
#pragma omp simd reduction(+ : dot)
          for (std::int64_t e = 0; e < D; ++e) dot += result[(first + i) * D + e] * dy[(first + i) * D + e];
          const float log_sum = a.log_sum.data[(b * heads + head) * N + first + i];
          float *const weights = p + i * N, *const gradients = ds + i * N;
#pragma GCC ivdep
          for (std::int64_t j = 0; j < N; ++j) {
            weights[j] = exp_of(weights[j] * scale - log_sum);
            gradients[j] = weights[j] * (gradients[j] - dot) * scale;
          }
        }
        product(false, false, queries, D, N, ds, k, dq + first * D);
        product(true, false, N, D, queries, p, dy + first * D, dv, beta);
        product(true, false, N, D, queries, ds, q + first * D, dk, beta);
      }
      T* const to = dqkv + b * N * 3 * C + head * D;
      put_columns(dq, N, D, to, 3 * C);
      put_columns(dk, N, D, to + C, 3 * C);
      put_columns(dv, N, D, to + 2 * C, 3 * C);
    });
  });
}

}  // namespace otnfm::cpu
