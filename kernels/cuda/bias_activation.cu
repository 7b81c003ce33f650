// 8 bytes an element forward, 12 backward, half of that in bfloat16, 20 to 40 FLOPs: bound by memory. The
// forward moves 16 bytes a thread and load where the addresses allow it. The backward makes the column sums in the same
// pass over memory.
#include "kernels/bias_activation.h"

#include "kernels/device/column_fold.h"
#include "kernels/device/elements.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

/// The views of an op as what they are stored as.
template <class T>
struct Forward {
  View<const T> z;
  View<const float> bias;
  View<T> y;
};
template <class T>
struct Backward {
  View<const T> z;
  View<const float> bias;
  View<const T> dy;
  View<T> dz;
};

template <Activation kind, class T, int kWidth>
__global__ void forward_kernel(Forward<T> a) {
  for_each_group<kWidth>(a.z.rows(), a.z.columns(), [&](std::int64_t i, std::int64_t j) {
    auto values = as_floats(load_group<kWidth>(a.z.row(i) + j));
    if (a.bias.data != nullptr) {
      const auto bias = load_group<kWidth>(a.bias.data + j);
      for (int k = 0; k < kWidth; ++k) values[k] += bias[k];
    }
    for (int k = 0; k < kWidth; ++k) values[k] = activate<kind>(values[k]);
    store_group(a.y.row(i) + j, stored_as<T>(values));
  });
}

template <Activation kind, class T, int kWidth>
__global__ void backward_kernel(Backward<T> a) {
  for_each_group<kWidth>(a.z.rows(), a.z.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto z = as_floats(load_group<kWidth>(a.z.row(i) + j));
    auto gradient = as_floats(load_group<kWidth>(a.dy.row(i) + j));
    Group<float, kWidth> bias = {};
    if (a.bias.data != nullptr) bias = load_group<kWidth>(a.bias.data + j);
    for (int k = 0; k < kWidth; ++k) gradient[k] *= activate_derivative<kind>(z[k] + bias[k]);
    store_group(a.dz.row(i) + j, stored_as<T>(gradient));
  });
}

template <Activation kind, class T>
__global__ void backward_with_sums_kernel(Backward<T> a, ColumnChunks chunks, float* partial) {
  const std::int64_t strip = blockIdx.x % chunks.strips, chunk = blockIdx.x / chunks.strips, n = a.z.columns();
  const std::int64_t begin = chunk * chunks.chunk_rows, end = min(begin + chunks.chunk_rows, a.z.rows());
  fold_strip(
      strip, begin, end, n, 0.0f, Sum{},
      [&](std::int64_t i, std::int64_t j) {
        const float bias = a.bias.data == nullptr ? 0.0f : a.bias.data[j];
        const float z = static_cast<float>(a.z.row(i)[j]) + bias;
        const float gradient = static_cast<float>(a.dy.row(i)[j]) * activate_derivative<kind>(z);
        a.dz.row(i)[j] = T(gradient);
        return gradient;
      },
      [&](std::int64_t j, float sum) { partial[chunk * n + j] = sum; });
}

template <Activation kind, class T>
void run_forward(Stream& stream, const BiasActivation& arguments) {
  Forward<T> a = {arguments.z.as<T>(), arguments.bias, arguments.y.as<T>()};
  if (a.bias.data == nullptr) flatten_if_contiguous(a.z, a.y);
  const bool grouped = can_group(a.z, a.y) && (a.bias.data == nullptr || aligned16(a.bias.data));
  launch(grouped ? forward_kernel<kind, T, kGroup> : forward_kernel<kind, T, 1>,
         element_grid(a.z.rows(), a.z.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
}

template <Activation kind, class T>
void run_backward(Stream& stream, const BiasActivationBackward& arguments) {
  const Backward<T> a = {arguments.z.as<T>(), arguments.bias, arguments.dy.as<T>(), arguments.dz.as<T>()};
  float* const dbias = arguments.dbias.data;
  if (dbias == nullptr) {
    const bool grouped = can_group(a.z, a.dy, a.dz) && (a.bias.data == nullptr || aligned16(a.bias.data));
    return launch(grouped ? backward_kernel<kind, T, kGroup> : backward_kernel<kind, T, 1>,
                  element_grid(a.z.rows(), a.z.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
  }
  const ColumnChunks chunks = column_chunks(a.z.rows(), a.z.columns());
  // One chunk needs no second launch.
  float* const sums = chunks.chunks == 1 ? dbias : reinterpret_cast<float*>(stream.workspace());
  launch(backward_with_sums_kernel<kind, T>, chunks.blocks(), kFoldThreads, 0, stream.cuda(), a, chunks, sums);
  if (chunks.chunks > 1)
    launch(fold_chunks_kernel<Sum>, chunks.strips, kFoldThreads, 0, stream.cuda(), sums, chunks.chunks, a.z.columns(),
           0.0f, Sum{}, 1.0f, dbias);
}

}  // namespace

void bias_activation(Stream& stream, const BiasActivation& a) {
  with_stored_type(a.z.dtype, [&]<class T>() {
    with_activation(a.activation, [&]<Activation kind>() { run_forward<kind, T>(stream, a); });
  });
}

void bias_activation_backward(Stream& stream, const BiasActivationBackward& a) {
  with_stored_type(a.z.dtype, [&]<class T>() {
    with_activation(a.activation, [&]<Activation kind>() { run_backward<kind, T>(stream, a); });
  });
}

}  // namespace otnfm::cuda
