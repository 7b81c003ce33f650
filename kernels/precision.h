// What matrix products are computed in: one word from the command line to the kernel.
#pragma once

namespace otnfm {

/// bfloat16 stores operands (weights' working copies, activations, their gradients) in 16 bits and adds products up in
/// float32. tf32 rounds float32 operands to 10 mantissa bits on CUDA's tensor cores and is float32 on the CPU.
enum class Precision : int { float32, tf32, bfloat16 };

/// Whether operands are rounded to bfloat16.
constexpr bool rounds(Precision precision) {
  return precision == Precision::bfloat16;
}

constexpr const char* name_of(Precision precision) {
  return precision == Precision::bfloat16 ? "bfloat16" : precision == Precision::tf32 ? "tf32" : "float32";
}

}  // namespace otnfm
