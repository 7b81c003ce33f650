// 36 bytes and about 20 FLOPs a weight, a root and a division among them: bound by memory once the five vectors are
// larger than the caches, by the division and the root before.
#include "kernels/adamw.h"

#include <cmath>

#include "kernels/device/adamw.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

constexpr std::int64_t kWeightGrain = 4096;

template <bool rounds>
void update_range(const AdamW& a, const AdamWStep& s, float decay, std::int64_t begin, std::int64_t end) {
  float *value = a.value.data, *m = a.m.data, *v = a.v.data, *ema = a.ema.data;
  const float* gradient = a.gradient.data;
  bfloat16* working = a.working.data;
#pragma GCC ivdep  // the vectors do not overlap
  for (std::int64_t i = begin; i < end; ++i) {
    adamw_update(s, decay, gradient[i], value[i], m[i], v[i], ema[i]);
    if constexpr (rounds) working[i] = bfloat16(value[i]);
  }
}

/// Vector stores that straddle two cache lines made this loop three times slower (Zen 4, 64-byte vectors), and the
/// parts of the threads begin anywhere: the weights before the first full line go apart. The five vectors are allocated
/// alike, so what aligns one aligns all.
void update(const AdamW& a, const AdamWStep& s, float decay, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kLine = 64 / sizeof(float);
  const auto position =
      static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(a.value.data + begin) / sizeof(float));
  const std::int64_t aligned = std::min(end, begin + (kLine - position % kLine) % kLine);
  const auto range = a.working.data == nullptr ? update_range<false> : update_range<true>;
  range(a, s, decay, begin, aligned);
  range(a, s, decay, aligned, end);
}

}  // namespace

void adamw(Stream&, const AdamW& a) {
  const float clip_scale = a.clip_scale.data ? a.clip_scale.data[0] : 1.0f;
  if (std::isnan(clip_scale)) return;
  const AdamWStep step =
      adamw_step(a, clip_scale, std::log(double{a.beta1}), std::log(double{a.beta2}), a.step.data[0]);
  host::parallel_ranges(a.value.shape[0], kWeightGrain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t boundary = std::clamp(a.decayed, begin, end);
    update(a, step, a.weight_decay, begin, boundary);
    update(a, step, 0.0f, boundary, end);
  });
}

void advance_step(Stream&, const AdvanceStep& a) {
  ++a.step.data[0];
}

}  // namespace otnfm::cpu
