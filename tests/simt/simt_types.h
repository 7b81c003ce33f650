// The qualifiers and the vector types of CUDA C++, as the host compiler needs them. `__shared__` is left undefined on
// purpose: shared memory is declared by SHARED_ARRAY and SHARED_DYNAMIC (kernels/device/shared.h).
#pragma once

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

#define SIMT_VECTOR(Scalar, Name, Align1, Align2, Align4)                 \
  struct Name##1 {                                                        \
    Scalar x;                                                             \
  };                                                                      \
  struct alignas(Align2) Name##2 {                                        \
    Scalar x, y;                                                          \
  };                                                                      \
  struct Name##3 {                                                        \
    Scalar x, y, z;                                                       \
  };                                                                      \
  struct alignas(Align4) Name##4 {                                        \
    Scalar x, y, z, w;                                                    \
  };                                                                      \
  inline Name##1 make_##Name##1(Scalar x) {                               \
    return {x};                                                           \
  }                                                                       \
  inline Name##2 make_##Name##2(Scalar x, Scalar y) {                     \
    return {x, y};                                                        \
  }                                                                       \
  inline Name##3 make_##Name##3(Scalar x, Scalar y, Scalar z) {           \
    return {x, y, z};                                                     \
  }                                                                       \
  inline Name##4 make_##Name##4(Scalar x, Scalar y, Scalar z, Scalar w) { \
    return {x, y, z, w};                                                  \
  }                                                                       \
  static_assert(alignof(Name##1) == Align1)

SIMT_VECTOR(signed char, char, 1, 2, 4);
SIMT_VECTOR(unsigned char, uchar, 1, 2, 4);
SIMT_VECTOR(short, short, 2, 4, 8);
SIMT_VECTOR(unsigned short, ushort, 2, 4, 8);
SIMT_VECTOR(int, int, 4, 8, 16);
SIMT_VECTOR(unsigned, uint, 4, 8, 16);
SIMT_VECTOR(float, float, 4, 8, 16);
#undef SIMT_VECTOR

struct alignas(16) double2 {
  double x, y;
};
struct alignas(16) longlong2 {
  long long x, y;
};
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
inline double2 make_double2(double x, double y) {
  return {x, y};
}
inline longlong2 make_longlong2(long long x, long long y) {
  return {x, y};
}
inline ulonglong2 make_ulonglong2(unsigned long long x, unsigned long long y) {
  return {x, y};
}

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};
