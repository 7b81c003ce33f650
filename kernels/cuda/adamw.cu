// 36 bytes and about 20 FLOPs a weight: bound by memory, so four weights a thread by 16-byte loads where all five
// vectors allow it. What all weights of the step share (the rate, the bias corrections) is worked out once a block.
#include "kernels/adamw.h"

#include <cmath>

#include "kernels/device/adamw.h"
#include "kernels/device/launch.h"
#include "kernels/device/shared.h"
#include "kernels/device/vector.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4;

__global__ void adamw_kernel(AdamW a, double log_beta1, double log_beta2, bool vector) {
  SHARED_ARRAY(AdamWStep, shared, 1);
  const float clip_scale = a.clip_scale.data ? a.clip_scale.data[0] : 1.0f;
  if (clip_scale != clip_scale) return;  // the whole grid alike
  if (threadIdx.x == 0) shared[0] = adamw_step(a, clip_scale, log_beta1, log_beta2, a.step.data[0]);
  __syncthreads();
  const AdamWStep step = shared[0];
  const std::int64_t n = a.value.shape[0];
  for (std::int64_t i = kWidth * (blockIdx.x * std::int64_t{kThreads} + threadIdx.x); i < n;
       i += kWidth * std::int64_t{kThreads} * gridDim.x) {
    const auto decay = [&](std::int64_t k) { return k < a.decayed ? a.weight_decay : 0.0f; };
    if (vector && i + kWidth <= n) {
      const auto g = load_group<kWidth>(a.gradient.data + i);
      auto value = load_group<kWidth>(a.value.data + i), m = load_group<kWidth>(a.m.data + i);
      auto v = load_group<kWidth>(a.v.data + i), ema = load_group<kWidth>(a.ema.data + i);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) adamw_update(step, decay(i + k), g[k], value[k], m[k], v[k], ema[k]);
      store_group(a.value.data + i, value);
      store_group(a.m.data + i, m);
      store_group(a.v.data + i, v);
      store_group(a.ema.data + i, ema);
      if (a.working.data != nullptr) store_group(a.working.data + i, stored_as<bfloat16>(value));
    } else {
      for (std::int64_t k = i; k < i + kWidth && k < n; ++k) {
        adamw_update(step, decay(k), a.gradient.data[k], a.value.data[k], a.m.data[k], a.v.data[k], a.ema.data[k]);
        if (a.working.data != nullptr) a.working.data[k] = bfloat16(a.value.data[k]);
      }
    }
  }
}

__global__ void advance_step_kernel(AdvanceStep a) {
  ++a.step.data[0];
}

}  // namespace

void adamw(Stream& stream, const AdamW& a) {
  const std::int64_t n = a.value.shape[0];
  launch(adamw_kernel, grid_for((n + kWidth - 1) / kWidth, kThreads), kThreads, 0, stream.cuda(), a,
         std::log(double{a.beta1}), std::log(double{a.beta2}),
         aligned16(a.value.data, a.m.data, a.v.data, a.ema.data, a.gradient.data) &&
             reinterpret_cast<std::uintptr_t>(a.working.data) % 8 == 0);
}

void advance_step(Stream& stream, const AdvanceStep& a) {
  launch(advance_step_kernel, 1, 1, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
