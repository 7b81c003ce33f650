// What matrix products are computed in.
#pragma once

namespace otnfm {

/// bfloat16 rounds both operands and adds up in float32; weights and activations stay float32. tf32 rounds to 10
/// mantissa bits on CUDA and is float32 on the CPU.
enum class Precision : int { float32, tf32, bfloat16 };

}  // namespace otnfm
