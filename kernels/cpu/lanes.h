// A sum of n terms in interleaved lanes that are folded pairwise at the end: it vectorises, while the
// order of the operations stands in the source. (A reduction that the compiler may reorder can peel elements off until
// an address is aligned, and then rounds differently from one allocation to the next.)
#pragma once

#include <cstdint>

#include "kernels/host/simd.h"

namespace otnfm::cpu {

/// 16 floats or 8 doubles on every processor, as the sums depend on it.
template <class Number>
inline constexpr int kLaneCount = 64 / sizeof(Number);
template <class Number>
using Lanes = host::Vector<Number, kLaneCount<Number>>;

/// Loads element `j` of an array of floats as a Number.
template <class Number>
struct LoadOne {
  std::int64_t j;
  Number operator()(const float* from) const { return static_cast<Number>(from[j]); }
};

/// Loads elements j, j + 1, ... as the lanes.
template <class Number>
struct LoadLanes {
  std::int64_t j;
  __attribute__((always_inline)) Lanes<Number> operator()(const float* from) const {
    return __builtin_convertvector(host::load<host::Vector<float, kLaneCount<Number>>>(from + j), Lanes<Number>);
  }
};

/// The sum of term(load) over j in [0, n), where load(p) is p[j], for a single element or for all lanes at once: term
/// must compile for both.
template <class Number, class Term>
inline __attribute__((always_inline)) Number sum_lanes(std::int64_t n, const Term& term) {
  constexpr std::int64_t kCount = kLaneCount<Number>;
  std::int64_t j = 0;
  Number lanes[kCount] = {};
  if (n >= kCount) {
    Lanes<Number> even = {}, odd = {};  // two, so that an addition need not wait for the one before
    for (; j + 2 * kCount <= n; j += 2 * kCount) {
      even = even + term(LoadLanes<Number>{j});
      odd = odd + term(LoadLanes<Number>{j + kCount});
    }
    if (j + kCount <= n) {
      even = even + term(LoadLanes<Number>{j});
      j += kCount;
    }
    host::store(lanes, even + odd);
  }
  for (std::int64_t lane = 0; j < n; ++j, ++lane) lanes[lane] += term(LoadOne<Number>{j});
  for (std::int64_t width = kCount / 2; width > 0; width /= 2)
    for (std::int64_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0];
}

}  // namespace otnfm::cpu
