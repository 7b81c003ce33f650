// phi(t) in double, written from its formulas (kernels/device/time_function.h), for the references of every op that has
// one in it.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/device/time_function.h"

namespace otnfm::cases {

inline const char* name_of(TimeFunctionKind kind) {
  constexpr const char* kNames[] = {"identity", "linear", "tanh", "log", "fourier", "bounded_fourier"};
  return kNames[static_cast<int>(kind)];
}

/// The K weights of a dimension are d apart from w on.
inline double time_function_at(TimeFunctionKind kind, const double* w, std::int64_t d, std::int64_t K, double t) {
  double sum = 0, size = 1;
  switch (kind) {
    case TimeFunctionKind::identity:
      return t;
    case TimeFunctionKind::linear:
      return w[0] * t;
    case TimeFunctionKind::tanh:
      return std::tanh(w[0] * t);
    case TimeFunctionKind::log:
      return std::log1p(std::exp(w[0]) * t);
    case TimeFunctionKind::fourier:
    case TimeFunctionKind::bounded_fourier:
      for (std::int64_t k = 0; k < K / 2; ++k) {
        sum += w[k * d] * std::sin(w[(K / 2 + k) * d] * t);
        size += std::abs(w[k * d]);
      }
      return kind == TimeFunctionKind::fourier ? sum : sum / size;
  }
  return NAN;
}

}  // namespace otnfm::cases
