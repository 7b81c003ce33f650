// c = op(a) op(b) + beta c, then optionally activation(c + bias): oneDNN on the CPU, cuBLASLt on CUDA. Its backward is
// two more of the same: dA = dC B^T, dB = A^T dC.
#pragma once

#include "kernels/device/activation.h"
#include "kernels/op.h"
#include "kernels/precision.h"

namespace otnfm {

struct Matmul {
  static constexpr const char* kName = "matmul";
  View<const Stored> a;  // [M, K], or [K, M] transposed; with a batch in front: [N, M, K]. Rows contiguous.
  View<const Stored> b;  // [K, N], or [N, K] transposed; the batch likewise; stored as a is
  View<Stored> c;        // [M, N], float32, or bfloat16 where a and b are; products are added up in float32
  bool transpose_a = false;
  bool transpose_b = false;
  float beta = 0;                            // 0: c is not read
  Precision precision = Precision::float32;  // of float32 operands: float32 or tf32
  View<const float> bias = {};               // [N], or no memory
  Activation activation = Activation::identity;
};
OTNFM_DECLARE_OP(matmul, Matmul);

}  // namespace otnfm
