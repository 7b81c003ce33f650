// The functions of device code: synchronisation, warp collectives, atomics, intrinsics. The signatures are CUDA's but
// for a defaulted source location, by which messages name a line.
#pragma once

#include <math.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "scheduler.h"

// Synchronisation.

inline void __syncthreads(simt::Location where = simt::Location::current()) {
  simt::barrier(false, where);
}
inline int __syncthreads_count(int predicate, simt::Location where = simt::Location::current()) {
  return simt::barrier(predicate != 0, where);
}
inline int __syncthreads_or(int predicate, simt::Location where = simt::Location::current()) {
  return simt::barrier(predicate != 0, where) > 0;
}
inline int __syncthreads_and(int predicate, simt::Location where = simt::Location::current()) {
  return simt::barrier(predicate == 0, where) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, simt::Location where = simt::Location::current()) {
  simt::sync_warp(mask, where);
}
inline void __threadfence() {
  simt::fence();
}
inline void __threadfence_block() {
  simt::fence();
}
inline void __threadfence_system() {
  simt::fence();
}

// Warp collectives.

namespace simt {

template <class T>
T shuffle_value(unsigned mask, Shuffle kind, T value, int argument, int width, Location where) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "CUDA shuffles 4 or 8 bytes");
  std::uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  bits = shuffle(mask, kind, bits, argument, width, where);
  memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace simt

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, simt::Location where = simt::Location::current()) {
  return simt::shuffle_value(mask, simt::Shuffle::index, value, lane, width, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 simt::Location where = simt::Location::current()) {
  return simt::shuffle_value(mask, simt::Shuffle::up, value, static_cast<int>(delta), width, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   simt::Location where = simt::Location::current()) {
  return simt::shuffle_value(mask, simt::Shuffle::down, value, static_cast<int>(delta), width, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  simt::Location where = simt::Location::current()) {
  return simt::shuffle_value(mask, simt::Shuffle::exclusive_or, value, lane_mask, width, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, simt::Location where = simt::Location::current()) {
  return simt::ballot(mask, predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate, simt::Location where = simt::Location::current()) {
  return simt::ballot(mask, predicate != 0, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, simt::Location where = simt::Location::current()) {
  return simt::ballot(mask, predicate != 0, where) == mask;
}
inline unsigned __activemask() {
  return simt::active_mask();
}

// Atomics: for the types for which CUDA has them.

namespace simt {

template <class T, class Update>
T atomic_update(T* address, Update update) {
  T seen;
  __atomic_load(address, &seen, __ATOMIC_RELAXED);
  for (;;) {
    T next = update(seen);
    // Spelled twice, since an order that is no constant would make the compiler take the strongest.
    if (fenced() ? __atomic_compare_exchange(address, &seen, &next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
                 : __atomic_compare_exchange(address, &seen, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return seen;
  }
}

template <class T, class... Allowed>
concept OneOf = (std::is_same_v<T, Allowed> || ...);
template <class T>
concept Integer = OneOf<T, int, unsigned, long long, unsigned long long>;

}  // namespace simt

template <simt::OneOf<int, unsigned, unsigned long long, float, double> T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  // Integers wrap around on the GPU, also signed ones.
  if constexpr (std::is_same_v<T, int>)
    return simt::atomic_update(
        address, [=](T seen) { return static_cast<T>(static_cast<unsigned>(seen) + static_cast<unsigned>(value)); });
  else
    return simt::atomic_update(address, [=](T seen) { return seen + value; });
}
template <simt::OneOf<int, unsigned> T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(
      address, [=](T seen) { return static_cast<T>(static_cast<unsigned>(seen) - static_cast<unsigned>(value)); });
}
template <simt::Integer T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T seen) { return seen > value ? seen : value; });
}
template <simt::Integer T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T seen) { return seen < value ? seen : value; });
}
template <simt::OneOf<int, unsigned, unsigned long long, float> T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T) { return value; });
}
template <simt::OneOf<int, unsigned, unsigned long long, unsigned short> T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T seen) { return seen == expected ? value : seen; });
}
template <simt::OneOf<int, unsigned, unsigned long long> T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T seen) { return seen | value; });
}
template <simt::OneOf<int, unsigned, unsigned long long> T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T seen) { return seen & value; });
}
template <simt::OneOf<int, unsigned, unsigned long long> T>
T atomicXor(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T seen) { return seen ^ value; });
}
inline unsigned atomicInc(unsigned* address, unsigned limit) {
  return simt::atomic_update(address, [=](unsigned seen) { return seen >= limit ? 0u : seen + 1; });
}

// Loads and stores with a cache hint.

template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
T __ldcg(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, std::type_identity_t<T> value) {
  *address = value;
}
template <class T>
void __stcg(T* address, std::type_identity_t<T> value) {
  *address = value;
}

// clang-format off
// Arithmetic. `_rn` is what the host does anyway, as it is compiled without contraction.

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __frsqrt_rn(float x) { return static_cast<float>(1.0 / sqrt(static_cast<double>(x))); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline double __dsqrt_rn(double x) { return sqrt(x); }

inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.0f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline void __sincosf(float x, float* s, float* c) { *s = sinf(x), *c = cosf(x); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float fdividef(float a, float b) { return a / b; }
inline float sinpif(float x) { return static_cast<float>(sin(M_PI * fmod(static_cast<double>(x), 2.0))); }
inline float cospif(float x) { return static_cast<float>(cos(M_PI * fmod(static_cast<double>(x), 2.0))); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }

// CUDA saturates where the value does not fit and makes 0 of a NaN; a plain conversion would be undefined.
inline int __float2int_rz(float x) {
  if (!(x == x)) return 0;
  return x >= 2147483648.0f ? INT32_MAX : x < -2147483648.0f ? INT32_MIN : static_cast<int>(x);
}
inline int __float2int_rn(float x) { return __float2int_rz(nearbyintf(x)); }
inline int __float2int_rd(float x) { return __float2int_rz(floorf(x)); }
inline int __float2int_ru(float x) { return __float2int_rz(ceilf(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32);
}
inline int __mulhi(int a, int b) { return static_cast<int>((static_cast<std::int64_t>(a) * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64);
}
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= ((x >> bit) & 1u) << (31 - bit);
  return reversed;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<std::uint64_t>(high) << 32 | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(high) << 32 | low) >> (shift & 31));
}
[[noreturn]] inline void __trap(simt::Location where = simt::Location::current()) {
  simt::stop("__trap()", where);
}

// CUDA's min and max are plain overloads, also for mixed signs; on floats they are fminf and fmaxf.
#define SIMT_MIN_MAX(A, B, T)                                                             \
  inline T min(A a, B b) {                                                                \
    return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b); \
  }                                                                                       \
  inline T max(A a, B b) {                                                                \
    return static_cast<T>(a) > static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b); \
  }
SIMT_MIN_MAX(int, int, int)
SIMT_MIN_MAX(unsigned, unsigned, unsigned)
SIMT_MIN_MAX(int, unsigned, unsigned)
SIMT_MIN_MAX(unsigned, int, unsigned)
SIMT_MIN_MAX(long, long, long)
SIMT_MIN_MAX(unsigned long, unsigned long, unsigned long)
SIMT_MIN_MAX(long, unsigned long, unsigned long)
SIMT_MIN_MAX(unsigned long, long, unsigned long)
SIMT_MIN_MAX(long long, long long, long long)
SIMT_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
#undef SIMT_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(a, b); }
inline double max(float a, double b) { return fmax(a, b); }
inline double min(double a, float b) { return fmin(a, b); }
inline double max(double a, float b) { return fmax(a, b); }
// clang-format on
