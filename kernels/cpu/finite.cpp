// 4 bytes an element: bound by memory. On the bits, where a NaN or an infinity is an exponent of all ones: integers,
// which g++ may add up in any order and so vectorises.
#include "kernels/finite.h"

#include <atomic>

#include "kernels/cpu/spans.h"

namespace otnfm::cpu {

void count_nonfinite(Stream&, const CountNonfinite& a) {
  std::atomic<std::uint64_t> total{0};
  parallel_spans(a.x.rows(), a.x.columns(), a.x.contiguous(),
                 [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
                   constexpr std::int64_t kBlock = std::int64_t{1} << 30;  // whose count fits in 32 bits
                   const float* x = a.x.row(i);
                   for (; begin < end; begin += kBlock) {
                     std::uint32_t count = 0;
                     for (std::int64_t j = begin; j < std::min(end, begin + kBlock); ++j)
                       count += (bits_of(x[j]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
                     if (count != 0) total.fetch_add(count, std::memory_order_relaxed);
                   }
                 });
  a.count.data[0] = total.load(std::memory_order_relaxed);
}

}  // namespace otnfm::cpu
