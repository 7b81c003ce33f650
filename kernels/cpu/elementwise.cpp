// 8 to 20 bytes and 1 to 3 FLOPs an element: bound by memory. ivdep because an output may be an input: without it g++
// runs its scalar version of the loop there, as it finds that the two overlap.
#include "kernels/elementwise.h"

#include "kernels/cpu/spans.h"

namespace otnfm::cpu {

void add(Stream&, const Add& a) {
  const bool contiguous = a.a.contiguous() && a.b.contiguous() && a.y.contiguous();
  parallel_spans(a.y.rows(), a.y.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const float *left = a.a.row(i), *right = a.b.row(i);
    float* y = a.y.row(i);
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) y[j] = left[j] + right[j];
  });
}

void multiply(Stream&, const Multiply& a) {
  const bool contiguous = a.a.contiguous() && a.b.contiguous() && a.y.contiguous();
  parallel_spans(a.y.rows(), a.y.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const float *left = a.a.row(i), *right = a.b.row(i);
    float* y = a.y.row(i);
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) y[j] = left[j] * right[j];
  });
}

void multiply_backward(Stream&, const MultiplyBackward& a) {
  const bool contiguous =
      a.a.contiguous() && a.b.contiguous() && a.dy.contiguous() && a.da.contiguous() && a.db.contiguous();
  parallel_spans(a.dy.rows(), a.dy.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const float *left = a.a.row(i), *right = a.b.row(i), *dy = a.dy.row(i);
    float *da = a.da.row(i), *db = a.db.row(i);
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) {
      const float to_left = dy[j] * right[j], to_right = dy[j] * left[j];
      da[j] = to_left;
      db[j] = to_right;
    }
  });
}

void scale(Stream&, const Scale& a) {
  const bool contiguous = a.x.contiguous() && a.y.contiguous();
  parallel_spans(a.y.rows(), a.y.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const float* x = a.x.row(i);
    float* y = a.y.row(i);
    const float factor = a.factor;
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) y[j] = factor * x[j];
  });
}

void axpby(Stream&, const Axpby& a) {
  const bool contiguous = a.x.contiguous() && a.y.contiguous();
  parallel_spans(a.y.rows(), a.y.columns(), contiguous, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
    const float* x = a.x.row(i);
    float* y = a.y.row(i);
    const float alpha = a.alpha, beta = a.beta;
#pragma GCC ivdep
    for (std::int64_t j = begin; j < end; ++j) y[j] = alpha * x[j] + beta * y[j];
  });
}

}  // namespace otnfm::cpu
