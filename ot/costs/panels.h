// Products x y^T in float32 with a y that is kept as the loops take it (ot/loops/product.h). As fast as oneDNN's,
// without its set-up of 50 ms at the first, and each sum is one chain of fused multiply-adds in the order of the
// coordinates: the bits depend neither on the number of threads nor on the width of the processor's vectors.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"

namespace otnfm {

class Panels {
 public:
  /// Takes a copy of y [m, d].
  void pack(std::span<const float> y, std::int64_t m, std::int64_t d);

  /// out[i][j] = sum_k x[i][k] y[j][k] for `rows` rows of x [rows, d]; rows of out are `out_stride` >= m apart. On the
  /// calling thread.
  void multiply(const float* x, std::int64_t rows, float* out, std::int64_t out_stride) const;

  /// Rows that fill the caches; how many of such blocks are worth a thread of their own.
  static constexpr std::int64_t kBlockRows = 128;
  std::int64_t grain() const;

 private:
  std::int64_t m_ = 0, d_ = 0;
  HostVector<float> panels_;  // [ceil(m / 16)][d][16], zeros beyond m
};

}  // namespace otnfm
