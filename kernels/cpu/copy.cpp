// 8 bytes an element of float32, 6 where the type changes, 4 of bfloat16: bound by memory.
#include "kernels/copy.h"

#include "kernels/cpu/spans.h"

namespace otnfm::cpu {
namespace {

template <class From, class To>
void convert(const View<const From>& x, const View<To>& y) {
  const bool contiguous = x.contiguous() && y.contiguous();
  parallel_spans(x.rows(), x.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const From* from = x.row(i);
    To* to = y.row(i);
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) to[j] = static_cast<To>(from[j]);
  });
}

}  // namespace

void copy(Stream&, const Copy& a) {
  with_stored_type(a.x.dtype, [&]<class From>() {
    with_stored_type(a.y.dtype, [&]<class To>() { convert(a.x.as<From>(), a.y.as<To>()); });
  });
}

}  // namespace otnfm::cpu
