// phi(t) and the gradient of its weights, for the ops that compute them as they go (time_function, residual).
//
// Lanes of a vector are neighbouring columns, or, where there are few columns (d = 2 in the plane), neighbouring rows
// of one column. The gradient adds each weight's in double, over all rows in an order that is a function of the shape
// alone: threads share out the weights, never the rows.
#pragma once

#include <algorithm>

#include "kernels/device/time_function.h"
#include "kernels/host/parallel.h"
#include "kernels/view.h"

namespace otnfm::cpu {

inline constexpr std::int64_t kFewColumns = 16;
inline constexpr std::int64_t kTermLanes = 64;
inline constexpr std::int64_t kTermGrain = 2048;

enum class Lane { column, row };

/// The sum of the terms of `count` lanes: time t[lane] with one column's weights, or one time with the weights of
/// neighbouring columns.
template <TimeFunctionKind kind, Lane lane>
void evaluate_terms(std::int64_t count, const float* t, const float* w, std::int64_t d, std::int64_t terms,
                    float* phi) {
  constexpr bool rows = lane == Lane::row;
  if constexpr (kind == TimeFunctionKind::identity) {
    for (std::int64_t l = 0; l < count; ++l) phi[l] = t[rows ? l : 0];
  } else {
    for (std::int64_t l = 0; l < count; ++l) phi[l] = 0.0f;
    for (std::int64_t k = 0; k < terms; ++k) {
      const float *a = w + k * d, *s = is_fourier(kind) ? w + (terms + k) * d : a;
      for (std::int64_t l = 0; l < count; ++l)
        phi[l] += time_function_term<kind>(t[rows ? l : 0], a[rows ? 0 : l], s[rows ? 0 : l]);
    }
  }
}

/// Calls use(i, j, phi_j(t_i)) for rows [begin, end) of d columns.
template <TimeFunctionKind kind, class Use>
void for_each_phi(const View<const float>& t, const View<const float>& w, std::int64_t d, std::int64_t begin,
                  std::int64_t end, const Use& use) {
  const std::int64_t terms = time_function_terms(kind, w.shape[0]);
  float phi[kTermLanes], factor[kTermLanes];
  if (d < kFewColumns) {
    for (std::int64_t j = 0; j < d; ++j) {
      const float* const weights = kind == TimeFunctionKind::identity ? nullptr : w.data + j;
      const float bound = kind == TimeFunctionKind::bounded_fourier ? fourier_bound(weights, d, terms) : 1.0f;
      for (std::int64_t i = begin; i < end; i += kTermLanes) {
        const std::int64_t count = std::min(kTermLanes, end - i);
        evaluate_terms<kind, Lane::row>(count, t.data + i, weights, d, terms, phi);
        for (std::int64_t l = 0; l < count; ++l) use(i + l, j, phi[l] * bound);
      }
    }
    return;
  }
  for (std::int64_t j = 0; j < d; j += kTermLanes) {
    const std::int64_t count = std::min(kTermLanes, d - j);
    const float* const weights = kind == TimeFunctionKind::identity ? nullptr : w.data + j;
    if constexpr (kind == TimeFunctionKind::bounded_fourier)
      for (std::int64_t l = 0; l < count; ++l) factor[l] = fourier_bound(weights + l, d, terms);
    for (std::int64_t i = begin; i < end; ++i) {
      evaluate_terms<kind, Lane::column>(count, t.data + i, weights, d, terms, phi);
      if constexpr (kind == TimeFunctionKind::bounded_fourier)
        for (std::int64_t l = 0; l < count; ++l) phi[l] *= factor[l];
      for (std::int64_t l = 0; l < count; ++l) use(i, j + l, phi[l]);
    }
  }
}

/// sum_i upstream(i, j) da(t_i), and the same of ds, for term k of `count` columns from j on. Lanes are rows of the one
/// column, or the columns.
template <TimeFunctionKind kind, Lane lane, class Upstream>
void add_term_gradient(const View<const float>& t, const View<const float>& w, std::int64_t k, std::int64_t j,
                       std::int64_t count, std::int64_t terms, const Upstream& upstream, const View<float>& dw) {
  const std::int64_t B = t.shape[0], d = w.shape[1];
  const float *const a = w.data + k * d + j, *const s = is_fourier(kind) ? a + terms * d : a;
  double sum_a[kTermLanes] = {}, sum_s[kTermLanes] = {};
  const auto add = [&](std::int64_t l, float time, float above, float weight, float frequency) {
    float da, ds = 0.0f;
    time_function_term_gradient<kind>(time, weight, frequency, da, ds);
    sum_a[l] += above * da;
    if constexpr (is_fourier(kind)) sum_s[l] += above * ds;
  };
  if constexpr (lane == Lane::row) {
    for (std::int64_t i = 0; i < B; i += kTermLanes) {
      const std::int64_t rows = std::min(kTermLanes, B - i);
      float times[kTermLanes] = {}, above[kTermLanes] = {};
      for (std::int64_t l = 0; l < rows; ++l) times[l] = t.data[i + l], above[l] = upstream(i + l, j);
      for (std::int64_t l = 0; l < kTermLanes; ++l) add(l, times[l], above[l], *a, *s);
    }
    for (std::int64_t l = 1; l < kTermLanes; ++l) sum_a[0] += sum_a[l], sum_s[0] += sum_s[l];
  } else {
    for (std::int64_t i = 0; i < B; ++i) {
      const float time = t.data[i];
      for (std::int64_t l = 0; l < count; ++l) add(l, time, upstream(i, j + l), a[l], s[l]);
    }
  }
  for (std::int64_t l = 0; l < count; ++l) {
    dw.data[k * d + j + l] = static_cast<float>(sum_a[l]);
    if constexpr (is_fourier(kind)) dw.data[(terms + k) * d + j + l] = static_cast<float>(sum_s[l]);
  }
}

/// dw [K, d] from upstream(i, j), the gradient of phi_j(t_i).
template <TimeFunctionKind kind, class Upstream>
void time_gradient(const View<const float>& t, const View<const float>& w, const Upstream& upstream,
                   const View<float>& dw) {
  const std::int64_t B = t.shape[0], d = w.shape[1], terms = time_function_terms(kind, w.shape[0]);
  const bool few = d < kFewColumns;
  const std::int64_t tile = few ? 1 : kTermLanes, tiles = (d + tile - 1) / tile;
  host::parallel_ranges(
      tiles * terms, kTermGrain / std::max<std::int64_t>(1, B * tile), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t unit = begin; unit < end; ++unit) {
          const std::int64_t k = unit / tiles, j = unit % tiles * tile;
          if (few)
            add_term_gradient<kind, Lane::row>(t, w, k, j, 1, terms, upstream, dw);
          else
            add_term_gradient<kind, Lane::column>(t, w, k, j, std::min(tile, d - j), terms, upstream, dw);
        }
      });
  if constexpr (kind == TimeFunctionKind::bounded_fourier)
    for (std::int64_t j = 0; j < d; ++j) bound_fourier_gradient(w.data + j, dw.data + j, d, terms);
}

/// Rows a thread should have at least.
inline std::int64_t time_grain(TimeFunctionKind kind, const View<const float>& w, std::int64_t d) {
  return kTermGrain / std::max<std::int64_t>(1, d * std::max<std::int64_t>(1, time_function_terms(kind, w.shape[0])));
}

}  // namespace otnfm::cpu
