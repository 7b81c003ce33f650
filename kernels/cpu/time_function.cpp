// Forward 4 bytes an element, backward 4, and one activation a term: bound by arithmetic but for identity and linear.
//
// Lanes of a vector are neighbouring columns, or, where there are few columns (d = 2 in the plane), neighbouring rows
// of one column. The backward adds each weight's gradient in double, over all rows in an order that is a function of
// the shape alone: threads share out the weights, never the rows.
#include "kernels/time_function.h"

#include "kernels/cpu/parallel.h"

namespace otnfm::cpu {
namespace {

constexpr std::int64_t kFewColumns = 16;
constexpr std::int64_t kLanes = 64;
constexpr std::int64_t kTermGrain = 2048;

enum class Lane { column, row };

/// phi of `count` lanes: time t[lane] with one column's weights, or one time with the weights of neighbouring columns.
template <TimeFunctionKind kind, Lane lane>
void evaluate(std::int64_t count, const float* t, const float* w, std::int64_t d, std::int64_t terms, float* phi) {
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

template <TimeFunctionKind kind>
void forward_column(const TimeFunction& a, std::int64_t j, std::int64_t begin, std::int64_t end) {
  const std::int64_t d = a.phi.columns(), terms = time_function_terms(kind, a.w.shape[0]);
  const float* w = kind == TimeFunctionKind::identity ? nullptr : a.w.data + j;
  float factor = 1.0f;
  if constexpr (kind == TimeFunctionKind::bounded_fourier) factor = fourier_bound(w, d, terms);
  for (std::int64_t i = begin; i < end; i += kLanes) {
    const std::int64_t count = std::min(kLanes, end - i);
    float phi[kLanes];
    evaluate<kind, Lane::row>(count, a.t.data + i, w, d, terms, phi);
    for (std::int64_t l = 0; l < count; ++l) a.phi.row(i + l)[j] = phi[l] * factor;
  }
}

template <TimeFunctionKind kind>
void forward_columns(const TimeFunction& a, std::int64_t j, std::int64_t begin, std::int64_t end) {
  const std::int64_t d = a.phi.columns(), terms = time_function_terms(kind, a.w.shape[0]);
  const std::int64_t count = std::min(kLanes, d - j);
  const float* w = kind == TimeFunctionKind::identity ? nullptr : a.w.data + j;
  float factor[kLanes];
  if constexpr (kind == TimeFunctionKind::bounded_fourier)
    for (std::int64_t l = 0; l < count; ++l) factor[l] = fourier_bound(w + l, d, terms);
  for (std::int64_t i = begin; i < end; ++i) {
    float phi[kLanes];
    evaluate<kind, Lane::column>(count, a.t.data + i, w, d, terms, phi);
    float* to = a.phi.row(i) + j;
    if constexpr (kind == TimeFunctionKind::bounded_fourier)
      for (std::int64_t l = 0; l < count; ++l) to[l] = phi[l] * factor[l];
    else
      for (std::int64_t l = 0; l < count; ++l) to[l] = phi[l];
  }
}

/// sum_b dphi_b da(t_b), and the same of ds, for one term and one column.
template <TimeFunctionKind kind>
void backward_column(const TimeFunctionBackward& a, std::int64_t k, std::int64_t j, std::int64_t terms) {
  const std::int64_t B = a.dphi.rows(), d = a.dphi.columns();
  const float weight = a.w.data[k * d + j], frequency = is_fourier(kind) ? a.w.data[(terms + k) * d + j] : 0.0f;
  double sum_a[kLanes] = {}, sum_s[kLanes] = {};
  for (std::int64_t i = 0; i < B; i += kLanes) {
    const std::int64_t count = std::min(kLanes, B - i);
    float t[kLanes] = {}, upstream[kLanes] = {};
    for (std::int64_t l = 0; l < count; ++l) {
      t[l] = a.t.data[i + l];
      upstream[l] = a.dphi.row(i + l)[j];
    }
    for (std::int64_t l = 0; l < kLanes; ++l) {
      float da, ds = 0.0f;
      time_function_term_gradient<kind>(t[l], weight, frequency, da, ds);
      sum_a[l] += upstream[l] * da;
      if constexpr (is_fourier(kind)) sum_s[l] += upstream[l] * ds;
    }
  }
  double total_a = 0, total_s = 0;
  for (std::int64_t l = 0; l < kLanes; ++l) total_a += sum_a[l], total_s += sum_s[l];
  a.dw.data[k * d + j] = static_cast<float>(total_a);
  if constexpr (is_fourier(kind)) a.dw.data[(terms + k) * d + j] = static_cast<float>(total_s);
}

/// The same for up to kLanes neighbouring columns.
template <TimeFunctionKind kind>
void backward_columns(const TimeFunctionBackward& a, std::int64_t k, std::int64_t j, std::int64_t terms) {
  const std::int64_t B = a.dphi.rows(), d = a.dphi.columns(), count = std::min(kLanes, d - j);
  const float *weight = a.w.data + k * d + j, *frequency = is_fourier(kind) ? weight + terms * d : weight;
  double sum_a[kLanes] = {}, sum_s[kLanes] = {};
  for (std::int64_t i = 0; i < B; ++i) {
    const float* dphi = a.dphi.row(i) + j;
    const float t = a.t.data[i];
    for (std::int64_t l = 0; l < count; ++l) {
      float da, ds = 0.0f;
      time_function_term_gradient<kind>(t, weight[l], frequency[l], da, ds);
      sum_a[l] += dphi[l] * da;
      if constexpr (is_fourier(kind)) sum_s[l] += dphi[l] * ds;
    }
  }
  for (std::int64_t l = 0; l < count; ++l) {
    a.dw.data[k * d + j + l] = static_cast<float>(sum_a[l]);
    if constexpr (is_fourier(kind)) a.dw.data[(terms + k) * d + j + l] = static_cast<float>(sum_s[l]);
  }
}

}  // namespace

void time_function(Stream&, const TimeFunction& a) {
  const std::int64_t d = a.phi.columns();
  const std::int64_t work = d * std::max<std::int64_t>(1, time_function_terms(a.kind, a.w.shape[0]));
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    parallel_ranges(a.phi.rows(), kTermGrain / std::max<std::int64_t>(1, work),
                    [&](std::int64_t begin, std::int64_t end) {
                      if (d < kFewColumns)
                        for (std::int64_t j = 0; j < d; ++j) forward_column<kind>(a, j, begin, end);
                      else
                        for (std::int64_t j = 0; j < d; j += kLanes) forward_columns<kind>(a, j, begin, end);
                    });
  });
}

void time_function_backward(Stream&, const TimeFunctionBackward& a) {
  const std::int64_t B = a.dphi.rows(), d = a.dphi.columns(), terms = time_function_terms(a.kind, a.w.shape[0]);
  const bool few = d < kFewColumns;
  const std::int64_t tile = few ? 1 : kLanes, tiles = (d + tile - 1) / tile;
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    if constexpr (kind != TimeFunctionKind::identity) {
      parallel_ranges(tiles * terms, kTermGrain / std::max<std::int64_t>(1, B * tile),
                      [&](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t unit = begin; unit < end; ++unit) {
                          const std::int64_t k = unit / tiles, j = unit % tiles * tile;
                          if (few)
                            backward_column<kind>(a, k, j, terms);
                          else
                            backward_columns<kind>(a, k, j, terms);
                        }
                      });
      if constexpr (kind == TimeFunctionKind::bounded_fourier)
        for (std::int64_t j = 0; j < d; ++j) bound_fourier_gradient(a.w.data + j, a.dw.data + j, d, terms);
    }
  });
}

}  // namespace otnfm::cpu
