// 8 bytes an element for a copy, 6 for a cast: bound by memory.
#include "kernels/copy.h"

#include "kernels/cpu/spans.h"

namespace otnfm::cpu {
namespace {

template <class Arguments>
void convert(const Arguments& a) {
  const bool contiguous = a.x.contiguous() && a.y.contiguous();
  parallel_spans(a.x.rows(), a.x.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const auto* x = a.x.row(i);
    auto* y = a.y.row(i);
    using To = std::remove_reference_t<decltype(*y)>;
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) y[j] = static_cast<To>(x[j]);
  });
}

}  // namespace

void copy(Stream&, const Copy& a) {
  convert(a);
}

void cast_to_bfloat16(Stream&, const CastToBfloat16& a) {
  convert(a);
}

void cast_to_float32(Stream&, const CastToFloat32& a) {
  convert(a);
}

}  // namespace otnfm::cpu
