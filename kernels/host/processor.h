// Which instructions the hot loops use: those of the processor that the program runs on, whatever -march the rest was
// compiled for. A group of such loops is a header of its own, compiled once a processor by avx2.cpp, avx512.cpp and
// portable.cpp of its folder (tools/cmake/OtnfmProcessors.cmake says for what), each in a namespace of its own, and
// reached by a table of functions:
//     struct Loops {
//       void (*add)(...);
//       static const Loops portable, avx2, avx512;   // and avx512_bf16, where it has one; each is defined by its file
//     };
//     host::best<Loops>().add(...);
//
// OTNFM_PROCESSOR = portable, avx2, avx512 or avx512_bf16 in the environment is an upper limit, for the products of
// oneDNN too (which always use SSE 4.1 at least): to run here, and measure, what a lesser processor would run.
#pragma once

#include <array>
#include <cstddef>
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

/// The tables of one group of loops, by index of Processor; nullptr where it has none for that processor.
template <class Table>
constexpr std::array<const Table*, 4> tables() {
  std::array<const Table*, 4> all = {&Table::portable};
#if defined(__x86_64__)
  all[1] = &Table::avx2;
#if !defined(OTNFM_NO_AVX512)
  all[2] = &Table::avx512;
  if constexpr (requires { Table::avx512_bf16; }) all[3] = &Table::avx512_bf16;
#endif
#endif
  return all;
}

/// The table of the best processor that is at most processor().
template <class Table>
const Table& best() {
  static const Table* const chosen = [] {
    const auto all = tables<Table>();
    auto i = static_cast<std::size_t>(processor());
    while (all[i] == nullptr) --i;
    return all[i];
  }();
  return *chosen;
}

}  // namespace otnfm::host
