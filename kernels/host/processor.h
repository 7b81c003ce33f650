// Which instructions the hot loops use: those of the processor that the program runs on, whatever -march the rest was
// compiled for. A group of such loops is a header of its own, compiled once a processor by avx2.cpp, avx512.cpp and
// portable.cpp of its folder (tools/cmake/OtnfmProcessors.cmake says for what), each in a namespace of its own, and
// reached by a table of functions that is chosen here.
//
// OTNFM_PROCESSOR = portable, avx2, avx512 or avx512_bf16 in the environment is an upper limit, for the products of
// oneDNN too (which always use SSE 4.1 at least): to run here, and measure, what a lesser processor would run.
#pragma once

#include <array>
#include <cstdint>

namespace otnfm::host {

enum class Processor : std::uint8_t {
  portable,     ///< vectors of 16 bytes in the compiler's terms
  avx2,         ///< x86-64-v3: AVX2 and FMA
  avx512,       ///< x86-64-v4
  avx512_bf16,  ///< and products of bfloat16
};

const char* name_of(Processor processor);

/// Whether this machine has it and the build has code for it.
bool runs_here(Processor processor);

/// The most that runs here and that OTNFM_PROCESSOR allows. Throws InputError where that names no processor.
Processor processor();

/// Tables of one group of loops, nullptr where it has none for that processor.
template <class Table>
using PerProcessor = std::array<const Table*, 4>;

/// The table of the best processor that is at most `most` and that this machine has.
template <class Table>
const Table& choose(const PerProcessor<Table>& tables, Processor most) {
  for (int i = static_cast<int>(most); i > 0; --i)
    if (tables[static_cast<std::size_t>(i)] != nullptr && runs_here(static_cast<Processor>(i)))
      return *tables[static_cast<std::size_t>(i)];
  return *tables[0];
}

}  // namespace otnfm::host
