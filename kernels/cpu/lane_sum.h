// A sum of n terms in 16 interleaved lanes that are added up pairwise at the end: vectorises, while the order of the
// additions stands in the source. (A reduction that the compiler is allowed to reorder may peel elements off until an
// address is aligned, and then rounds differently from one allocation to the next.)
#pragma once

#include <cstdint>

namespace otnfm::cpu {

inline constexpr int kLanes = 16;

/// term(j) for j in [0, n), added up in Number.
template <class Number, class Term>
inline __attribute__((always_inline)) Number lane_sum(std::int64_t n, const Term& term) {
  typedef Number Lanes __attribute__((vector_size(kLanes * sizeof(Number))));
  Lanes lanes = {};
  std::int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    Lanes terms;
    for (int lane = 0; lane < kLanes; ++lane) terms[lane] = term(j + lane);
    lanes += terms;
  }
  for (int lane = 0; j < n; ++j, ++lane) lanes[lane] += term(j);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0];
}

}  // namespace otnfm::cpu
