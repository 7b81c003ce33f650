// A problem's numbers, of any of its types, in double, and the largest of some.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <type_traits>

#include "kernels/dtype.h"

namespace otnfm {

template <class T>
double widen(T value) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return static_cast<float>(value);
  else
    return static_cast<double>(value);
}

/// max |value|; 0 of none.
inline double largest_size(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}
inline double largest_size(std::span<const float> values) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(widen(value)));
  return largest;
}

}  // namespace otnfm
