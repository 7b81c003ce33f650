// 8 bytes and some 20 integer operations a number: bound by the arithmetic of Philox. The factors of a run are made
// first, by the same loop as other random numbers, and stay in the first-level cache.
#include "kernels/dropout.h"

#include "kernels/cpu/random_numbers.h"
#include "kernels/cpu/spans.h"
#include "kernels/device/dropout.h"
#include "kernels/device/random.h"

namespace otnfm::cpu {
namespace {

/// What numbers are multiplied by: 0 where they are dropped.
struct FactorMap {
  float rate, factor;

  void operator()(const PhiloxWords& words, float (&y)[kNumbersPerBlock]) const {
    for (int k = 0; k < kNumbersPerBlock; ++k) y[k] = drop_out(1.0f, words.word[k], rate, factor);
  }
};

}  // namespace

void dropout(Stream&, const Dropout& a) {
  constexpr std::int64_t kRun = 512;
  const std::uint64_t step = step_of(a.key);
  const FactorMap map{a.rate, dropout_factor(a.rate)};
  const auto first = static_cast<std::uint64_t>(a.key.first_row) * static_cast<std::uint64_t>(a.x.columns());
  with_stored_type(a.x.dtype, [&]<class T>() {
    const View<const T> x = a.x.as<T>();
    const View<T> y = a.y.as<T>();
    const bool contiguous = x.contiguous() && y.contiguous();
    parallel_spans(x.rows(), x.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
      const T* from = x.row(i);
      T* to = y.row(i);
      float factors[kRun];
      for (std::int64_t at = begin; at < end; at += kRun) {
        const std::int64_t count = std::min(kRun, end - at);
        generate<kNumbersPerBlock>(factors, first + static_cast<std::uint64_t>(i * x.columns() + at), count, a.key,
                                   step, map);
#pragma GCC ivdep
        for (std::int64_t j = 0; j < count; ++j)
          to[at + j] = T(factors[j] == 0.0f ? 0.0f : factors[j] * static_cast<float>(from[at + j]));
      }
    });
  });
}

}  // namespace otnfm::cpu
