// phi(t), the time functions of a flow (Bilos et al. 2021, section 3): phi(0) = 0 exactly, whatever the weights. One
// output dimension has K weights.
#pragma once

#include "kernels/device/math.h"

namespace otnfm {

/// identity: t, K = 0.  linear: w t, K = 1.  tanh: tanh(w t), K = 1.  log: log(1 + e^w t), t >= 0, K = 1.
/// fourier: sum_k a_k sin(s_k t), K = 2 m: the a_k, then the s_k.
/// bounded_fourier: sum_k a_k sin(s_k t) / (1 + sum_k |a_k|), so that |phi| < 1.
enum class TimeFunctionKind : int { identity, linear, tanh, log, fourier, bounded_fourier };

constexpr bool is_fourier(TimeFunctionKind kind) {
  return kind == TimeFunctionKind::fourier || kind == TimeFunctionKind::bounded_fourier;
}

/// phi is a sum of this many terms of one weight `a` each; a Fourier term has a second weight `s`. (bounded_fourier
/// divides the sum.)
constexpr std::int64_t time_function_terms(TimeFunctionKind kind, std::int64_t weights) {
  return is_fourier(kind) ? weights / 2 : weights;
}

/// Whether phi of this kind can have this many weights a dimension.
constexpr bool time_function_takes(TimeFunctionKind kind, std::int64_t weights) {
  if (is_fourier(kind)) return weights >= 2 && weights % 2 == 0;
  return weights == (kind == TimeFunctionKind::identity ? 0 : 1);
}

/// e^w t. Beyond w = 88 the exponential would be infinite, and phi(0) = 0 * infinity.
OTNFM_HD float scaled_time(float t, float w) {
  return exp_of(select(w > 88.0f, 88.0f, w)) * t;
}

template <TimeFunctionKind kind>
OTNFM_HD float time_function_term(float t, float a, float s) {
  if constexpr (kind == TimeFunctionKind::linear) return a * t;
  if constexpr (kind == TimeFunctionKind::tanh) return tanh_of(a * t);
  if constexpr (kind == TimeFunctionKind::log) return log1p_of(scaled_time(t, a));
  if constexpr (is_fourier(kind)) {
    float sine, cosine;
    sincos_of(s * t, sine, cosine);
    return a * sine;
  }
  return t;
}

/// The derivatives of a term with respect to its weights.
template <TimeFunctionKind kind>
OTNFM_HD void time_function_term_gradient(float t, float a, float s, float& da, float& ds) {
  static_assert(kind != TimeFunctionKind::identity);
  if constexpr (kind == TimeFunctionKind::linear) da = t;
  if constexpr (kind == TimeFunctionKind::tanh) {
    const float y = tanh_of(a * t);
    da = (1.0f - y * y) * t;
  }
  if constexpr (kind == TimeFunctionKind::log) {
    const float u = scaled_time(t, a);
    da = u / (1.0f + u);
  }
  if constexpr (is_fourier(kind)) {
    float cosine;
    sincos_of(s * t, da, cosine);
    ds = a * t * cosine;
  }
}

/// What the sum of the terms is multiplied by in bounded_fourier; `w` is the first weight of a dimension, the next is
/// `stride` further.
OTNFM_HD float fourier_bound(const float* w, std::int64_t stride, std::int64_t terms) {
  float sum = 1.0f;
  for (std::int64_t k = 0; k < terms; ++k) sum += w[k * stride] < 0.0f ? -w[k * stride] : w[k * stride];
  return 1.0f / sum;
}

/// phi_j(t) with the weights w [K, d]; of identity w may be null.
template <TimeFunctionKind kind>
OTNFM_HD float time_function_value(const float* w, std::int64_t j, std::int64_t d, std::int64_t K, float t) {
  if constexpr (kind == TimeFunctionKind::identity) {
    return t;
  } else {
    const float* const own = w + j;
    const std::int64_t terms = time_function_terms(kind, K);
    float phi = 0.0f;
    for (std::int64_t k = 0; k < terms; ++k)
      phi += time_function_term<kind>(t, own[k * d], is_fourier(kind) ? own[(terms + k) * d] : 0.0f);
    if constexpr (kind == TimeFunctionKind::bounded_fourier) phi *= fourier_bound(own, d, terms);
    return phi;
  }
}

/// From the gradient of the undivided sum, dw, to that of bounded_fourier, in place: with c = 1 / (1 + sum |a|),
/// d/da_k = c (da_k - c sign(a_k) sum_l a_l da_l) and d/ds_k = c ds_k. sign(0) is 0.
OTNFM_HD void bound_fourier_gradient(const float* w, float* dw, std::int64_t stride, std::int64_t terms) {
  const float c = fourier_bound(w, stride, terms);
  float along = 0.0f;
  for (std::int64_t k = 0; k < terms; ++k) along += w[k * stride] * dw[k * stride];
  for (std::int64_t k = 0; k < terms; ++k) {
    const float a = w[k * stride], sign = a > 0.0f ? 1.0f : (a < 0.0f ? -1.0f : 0.0f);
    dw[k * stride] = c * (dw[k * stride] - c * sign * along);
    dw[(terms + k) * stride] *= c;
  }
}

/// Calls body.template operator()<kind>() with the kind as a compile-time constant.
template <class Body>
void with_time_function(TimeFunctionKind kind, Body&& body) {
  switch (kind) {
    case TimeFunctionKind::identity:
      return body.template operator()<TimeFunctionKind::identity>();
    case TimeFunctionKind::linear:
      return body.template operator()<TimeFunctionKind::linear>();
    case TimeFunctionKind::tanh:
      return body.template operator()<TimeFunctionKind::tanh>();
    case TimeFunctionKind::log:
      return body.template operator()<TimeFunctionKind::log>();
    case TimeFunctionKind::fourier:
      return body.template operator()<TimeFunctionKind::fourier>();
    case TimeFunctionKind::bounded_fourier:
      return body.template operator()<TimeFunctionKind::bounded_fourier>();
  }
}

}  // namespace otnfm
