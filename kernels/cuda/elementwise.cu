// 8 to 20 bytes and 1 to 3 FLOPs an element: bound by memory, so 16 bytes a thread and load where the addresses allow
// it.
#include "kernels/elementwise.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void add_kernel(Add a) {
  for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto left = load_group<kWidth>(a.a.row(i) + j), right = load_group<kWidth>(a.b.row(i) + j);
    Group<float, kWidth> y;
    for (int k = 0; k < kWidth; ++k) y[k] = left[k] + right[k];
    store_group(a.y.row(i) + j, y);
  });
}

template <int kWidth>
__global__ void multiply_kernel(Multiply a) {
  for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto left = load_group<kWidth>(a.a.row(i) + j), right = load_group<kWidth>(a.b.row(i) + j);
    Group<float, kWidth> y;
    for (int k = 0; k < kWidth; ++k) y[k] = left[k] * right[k];
    store_group(a.y.row(i) + j, y);
  });
}

template <int kWidth>
__global__ void multiply_backward_kernel(MultiplyBackward a) {
  for_each_group<kWidth>(a.dy.rows(), a.dy.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto left = load_group<kWidth>(a.a.row(i) + j), right = load_group<kWidth>(a.b.row(i) + j),
               dy = load_group<kWidth>(a.dy.row(i) + j);
    Group<float, kWidth> da, db;
    for (int k = 0; k < kWidth; ++k) {
      da[k] = dy[k] * right[k];
      db[k] = dy[k] * left[k];
    }
    store_group(a.da.row(i) + j, da);
    store_group(a.db.row(i) + j, db);
  });
}

template <int kWidth>
__global__ void scale_kernel(Scale a) {
  for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    auto values = load_group<kWidth>(a.x.row(i) + j);
    for (int k = 0; k < kWidth; ++k) values[k] *= a.factor;
    store_group(a.y.row(i) + j, values);
  });
}

template <int kWidth>
__global__ void axpby_kernel(Axpby a) {
  for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto x = load_group<kWidth>(a.x.row(i) + j);
    auto y = load_group<kWidth>(a.y.row(i) + j);
    for (int k = 0; k < kWidth; ++k) y[k] = a.alpha * x[k] + a.beta * y[k];
    store_group(a.y.row(i) + j, y);
  });
}

}  // namespace

void add(Stream& stream, const Add& arguments) {
  Add a = arguments;
  flatten_if_contiguous(a.a, a.b, a.y);
  const bool grouped = can_group(a.a, a.b, a.y);
  launch(grouped ? add_kernel<kGroup> : add_kernel<1>, element_grid(a.y.rows(), a.y.columns(), grouped),
         kElementThreads, 0, stream.cuda(), a);
}

void multiply(Stream& stream, const Multiply& arguments) {
  Multiply a = arguments;
  flatten_if_contiguous(a.a, a.b, a.y);
  const bool grouped = can_group(a.a, a.b, a.y);
  launch(grouped ? multiply_kernel<kGroup> : multiply_kernel<1>, element_grid(a.y.rows(), a.y.columns(), grouped),
         kElementThreads, 0, stream.cuda(), a);
}

void multiply_backward(Stream& stream, const MultiplyBackward& arguments) {
  MultiplyBackward a = arguments;
  flatten_if_contiguous(a.a, a.b, a.dy, a.da, a.db);
  const bool grouped = can_group(a.a, a.b, a.dy, a.da, a.db);
  launch(grouped ? multiply_backward_kernel<kGroup> : multiply_backward_kernel<1>,
         element_grid(a.dy.rows(), a.dy.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
}

void scale(Stream& stream, const Scale& arguments) {
  Scale a = arguments;
  flatten_if_contiguous(a.x, a.y);
  const bool grouped = can_group(a.x, a.y);
  launch(grouped ? scale_kernel<kGroup> : scale_kernel<1>, element_grid(a.y.rows(), a.y.columns(), grouped),
         kElementThreads, 0, stream.cuda(), a);
}

void axpby(Stream& stream, const Axpby& arguments) {
  Axpby a = arguments;
  flatten_if_contiguous(a.x, a.y);
  const bool grouped = can_group(a.x, a.y);
  launch(grouped ? axpby_kernel<kGroup> : axpby_kernel<1>, element_grid(a.y.rows(), a.y.columns(), grouped),
         kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
