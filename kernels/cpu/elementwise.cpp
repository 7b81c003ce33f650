// 8 to 20 bytes (half of it in bfloat16) and 1 to 3 FLOPs an element: bound by memory. ivdep because an output may be
// an input: without it g++ runs its scalar version of the loop there, as it finds that the two overlap.
#include "kernels/elementwise.h"

#include "kernels/cpu/spans.h"

namespace otnfm::cpu {
namespace {

/// y = f(a, b)
template <class T, class F>
void combine(const View<const T>& a, const View<const T>& b, const View<T>& y, const F& f) {
  const bool contiguous = a.contiguous() && b.contiguous() && y.contiguous();
  parallel_spans(y.rows(), y.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const T *left = a.row(i), *right = b.row(i);
    T* to = y.row(i);
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) to[j] = T(f(static_cast<float>(left[j]), static_cast<float>(right[j])));
  });
}

/// y = f(x)
template <class T, class F>
void transform(const View<const T>& x, const View<T>& y, const F& f) {
  const bool contiguous = x.contiguous() && y.contiguous();
  parallel_spans(y.rows(), y.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const T* from = x.row(i);
    T* to = y.row(i);
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) to[j] = T(f(static_cast<float>(from[j])));
  });
}

}  // namespace

void add(Stream&, const Add& a) {
  with_stored_type(a.y.dtype, [&]<class T>() {
    combine(a.a.as<T>(), a.b.as<T>(), a.y.as<T>(), [](float left, float right) { return left + right; });
  });
}

void multiply(Stream&, const Multiply& a) {
  with_stored_type(a.y.dtype, [&]<class T>() {
    combine(a.a.as<T>(), a.b.as<T>(), a.y.as<T>(), [](float left, float right) { return left * right; });
  });
}

void multiply_backward(Stream&, const MultiplyBackward& a) {
  const bool contiguous =
      a.a.contiguous() && a.b.contiguous() && a.dy.contiguous() && a.da.contiguous() && a.db.contiguous();
  with_stored_type(a.dy.dtype, [&]<class T>() {
    const View<const T> all_left = a.a.as<T>(), all_right = a.b.as<T>(), all_dy = a.dy.as<T>();
    const View<T> all_da = a.da.as<T>(), all_db = a.db.as<T>();
    parallel_spans(a.dy.rows(), a.dy.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
      const T *left = all_left.row(i), *right = all_right.row(i), *dy = all_dy.row(i);
      T *da = all_da.row(i), *db = all_db.row(i);
#pragma GCC ivdep
      for (std::int64_t j = begin; j < end; ++j) {
        const auto gradient = static_cast<float>(dy[j]);
        const float to_left = gradient * static_cast<float>(right[j]),
                    to_right = gradient * static_cast<float>(left[j]);
        da[j] = T(to_left);
        db[j] = T(to_right);
      }
    });
  });
}

void scale(Stream&, const Scale& a) {
  const float factor = a.factor;
  with_stored_type(a.y.dtype,
                   [&]<class T>() { transform(a.x.as<T>(), a.y.as<T>(), [factor](float x) { return factor * x; }); });
}

void axpby(Stream&, const Axpby& a) {
  const float alpha = a.alpha, beta = a.beta;
  with_stored_type(a.y.dtype, [&]<class T>() {
    combine<T>(a.x.as<T>(), a.y.as<T>(), a.y.as<T>(), [=](float x, float y) { return alpha * x + beta * y; });
  });
}

}  // namespace otnfm::cpu
