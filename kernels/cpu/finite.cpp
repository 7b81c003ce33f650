// 4 bytes an element (2 of bfloat16): bound by memory. On the bits, where a NaN or an infinity is an exponent
// of all ones: integers, which g++ may add up in any order and so vectorises.
#include "kernels/finite.h"

#include <atomic>

#include "kernels/cpu/spans.h"

namespace otnfm::cpu {

namespace {

template <class T>
std::uint64_t count(const View<const T>& matrix) {
  std::atomic<std::uint64_t> total{0};
  parallel_spans(matrix.rows(), matrix.columns(), matrix.contiguous(),
                 [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
                   constexpr std::int64_t kBlock = std::int64_t{1} << 30;  // whose count fits in 32 bits
                   const T* x = matrix.row(i);
                   for (; begin < end; begin += kBlock) {
                     std::uint32_t count = 0;
                     for (std::int64_t j = begin; j < std::min(end, begin + kBlock); ++j)
                       count += (bits_of(static_cast<float>(x[j])) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
                     if (count != 0) total.fetch_add(count, std::memory_order_relaxed);
                   }
                 });
  return total.load(std::memory_order_relaxed);
}

}  // namespace

void count_nonfinite(Stream&, const CountNonfinite& a) {
  a.count.data[0] = with_stored_type(a.x.dtype, [&]<class T>() { return count(a.x.as<T>()); });
}

}  // namespace otnfm::cpu
