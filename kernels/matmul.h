// c = op(a) op(b) + beta c, then optionally activation(c + bias): oneDNN on the CPU, cuBLASLt on CUDA. Its backward is
// two more of the same: dA = dC B^T, dB = A^T dC.
#pragma once

#include "kernels/device/activation.h"
#include "kernels/op.h"

namespace otnfm {

/// How float32 operands are multiplied. tf32 rounds them to 10 mantissa bits on tensor cores (on the CPU it is
/// float32), only when asked.
enum class MatmulPrecision : int { float32, tf32 };

struct Matmul {
  static constexpr const char* kName = "matmul";
  View<const float> a;  // [M, K], or [K, M] transposed; with a batch in front: [N, M, K]. Rows contiguous.
  View<const float> b;  // [K, N], or [N, K] transposed; the batch likewise
  View<float> c;        // [M, N]
  bool transpose_a = false;
  bool transpose_b = false;
  float beta = 0;  // 0: c is not read
  MatmulPrecision precision = MatmulPrecision::float32;
  View<const float> bias = {};  // [N], or no memory
  Activation activation = Activation::identity;
};
OTNFM_DECLARE_OP(matmul, Matmul);

/// The same with bfloat16 operands; products are added up in float32.
struct MatmulBfloat16 {
  static constexpr const char* kName = "matmul_bfloat16";
  View<const bfloat16> a;  // [M, K], or [K, M] transposed; with a batch in front: [N, M, K]
  View<const bfloat16> b;  // [K, N], or [N, K] transposed
  View<float> c;           // [M, N]
  bool transpose_a = false;
  bool transpose_b = false;
  float beta = 0;
  View<const float> bias = {};
  Activation activation = Activation::identity;
};
OTNFM_DECLARE_OP(matmul_bfloat16, MatmulBfloat16);

}  // namespace otnfm
