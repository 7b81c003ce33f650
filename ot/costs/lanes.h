// Eight doubles at once: a GCC vector, which the compiler splits where the machine's are shorter.
#pragma once

#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace otnfm {

inline constexpr int kLanes = 8;
using Lanes = double __attribute__((vector_size(kLanes * sizeof(double))));

inline Lanes load_lanes(const double* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

inline void store_lanes(double* to, Lanes lanes) {
  std::memcpy(to, &lanes, sizeof(lanes));
}

/// a * b + c. Written out, since the build lets no compiler fuse on its own and the separate addition would take the
/// unit that differences need.
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
#if defined(__AVX512F__)
  return reinterpret_cast<Lanes>(
      _mm512_fmadd_pd(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), reinterpret_cast<__m512d>(c)));
#else
  return a * b + c;
#endif
}

}  // namespace otnfm
