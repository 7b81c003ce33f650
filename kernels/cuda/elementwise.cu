// 8 to 20 bytes (half of it in bfloat16) and 1 to 3 FLOPs an element: bound by memory. Four elements a thread and load
// where the addresses allow it.
#include "kernels/elementwise.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Product {
  __device__ float operator()(float a, float b) const { return a * b; }
};
struct WeightedSum {
  float alpha, beta;
  __device__ float operator()(float a, float b) const { return alpha * a + beta * b; }
};

/// y = f(a, b)
template <int kWidth, class T, class F>
__global__ void combine_kernel(View<const T> a, View<const T> b, View<T> y, F f) {
  for_each_group<kWidth>(y.rows(), y.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto left = load_group<kWidth>(a.row(i) + j), right = load_group<kWidth>(b.row(i) + j);
    Group<T, kWidth> to;
    for (int k = 0; k < kWidth; ++k) to[k] = T(f(static_cast<float>(left[k]), static_cast<float>(right[k])));
    store_group(y.row(i) + j, to);
  });
}

template <class T>
struct Gradients {
  View<const T> a, b, dy;
  View<T> da, db;
};

template <int kWidth, class T>
__global__ void multiply_backward_kernel(Gradients<T> a) {
  for_each_group<kWidth>(a.dy.rows(), a.dy.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto left = as_floats(load_group<kWidth>(a.a.row(i) + j));
    const auto right = as_floats(load_group<kWidth>(a.b.row(i) + j));
    const auto dy = as_floats(load_group<kWidth>(a.dy.row(i) + j));
    Group<T, kWidth> da, db;
    for (int k = 0; k < kWidth; ++k) {
      da[k] = T(dy[k] * right[k]);
      db[k] = T(dy[k] * left[k]);
    }
    store_group(a.da.row(i) + j, da);
    store_group(a.db.row(i) + j, db);
  });
}

template <int kWidth, class T>
__global__ void scale_kernel(View<const T> x, View<T> y, float factor) {
  for_each_group<kWidth>(y.rows(), y.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto from = load_group<kWidth>(x.row(i) + j);
    Group<T, kWidth> to;
    for (int k = 0; k < kWidth; ++k) to[k] = T(static_cast<float>(from[k]) * factor);
    store_group(y.row(i) + j, to);
  });
}

template <class F>
void combine(Stream& stream, const View<const Stored>& left, const View<const Stored>& right, const View<Stored>& to,
             const F& f) {
  with_stored_type(to.dtype, [&]<class T>() {
    View<const T> a = left.as<T>(), b = right.as<T>();
    View<T> y = to.as<T>();
    flatten_if_contiguous(a, b, y);
    const bool grouped = can_group(a, b, y);
    launch(grouped ? combine_kernel<kGroup, T, F> : combine_kernel<1, T, F>,
           element_grid(y.rows(), y.columns(), grouped), kElementThreads, 0, stream.cuda(), a, b, y, f);
  });
}

}  // namespace

void add(Stream& stream, const Add& a) {
  combine(stream, a.a, a.b, a.y, Sum{});
}

void multiply(Stream& stream, const Multiply& a) {
  combine(stream, a.a, a.b, a.y, Product{});
}

void axpby(Stream& stream, const Axpby& a) {
  combine(stream, a.x, a.y, a.y, WeightedSum{a.alpha, a.beta});
}

void multiply_backward(Stream& stream, const MultiplyBackward& arguments) {
  with_stored_type(arguments.dy.dtype, [&]<class T>() {
    Gradients<T> a = {arguments.a.as<T>(), arguments.b.as<T>(), arguments.dy.as<T>(), arguments.da.as<T>(),
                      arguments.db.as<T>()};
    flatten_if_contiguous(a.a, a.b, a.dy, a.da, a.db);
    const bool grouped = can_group(a.a, a.b, a.dy, a.da, a.db);
    launch(grouped ? multiply_backward_kernel<kGroup, T> : multiply_backward_kernel<1, T>,
           element_grid(a.dy.rows(), a.dy.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
  });
}

void scale(Stream& stream, const Scale& a) {
  with_stored_type(a.y.dtype, [&]<class T>() {
    View<const T> x = a.x.as<T>();
    View<T> y = a.y.as<T>();
    flatten_if_contiguous(x, y);
    const bool grouped = can_group(x, y);
    launch(grouped ? scale_kernel<kGroup, T> : scale_kernel<1, T>, element_grid(y.rows(), y.columns(), grouped),
           kElementThreads, 0, stream.cuda(), x, y, a.factor);
  });
}

}  // namespace otnfm::cuda
