// Matrix products by oneDNN. This folder alone knows of the library: versions 2.6 (Debian 12) and 3.x.
#pragma once

#include "kernels/gemm.h"

namespace otnfm::cpu::onednn {

/// The activation is one of oneDNN's, as exact as ours, so that gemm() can apply it to the result while it is in
/// registers.
bool fuses(Activation activation);

/// This processor multiplies bfloat16 natively (AVX512_BF16 or AMX). Elsewhere oneDNN's bfloat16 products are slower
/// than its float32 ones, or not there at all.
bool has_bfloat16();

/// How much scratch memory gemm() wants, of a stream's workspace.
inline constexpr std::size_t kScratchBytes = std::size_t{24} << 20;

/// The whole of g, for batch, m, n, k >= 1 and an activation that it fuses. Allocates for a shape that this thread has
/// not seen, and for products that need more scratch memory than kScratchBytes.
void gemm(std::byte* scratch, const Gemm& g, const void* a, const void* b, const float* bias, void* c);

/// The same on the calling thread alone, for the parts of an op that shares its work among threads itself. `scratch` is
/// the thread's own, of kAloneScratchBytes.
inline constexpr std::size_t kAloneScratchBytes = std::size_t{1} << 20;
void gemm_alone(std::byte* scratch, const Gemm& g, const void* a, const void* b, void* c);

}  // namespace otnfm::cpu::onednn
