// 2 M N K FLOPs: a matter for the library. What it leaves: k = 0, and bias and activation in a pass of their own, 8
// bytes an element of c, wherever the library does not do just what activation.h says (its ReLU does not promise to
// keep a NaN, its GELU is the approximation by tanh) or wants more alignment than there is.
#include "kernels/matmul.h"

#include "kernels/bias_activation.h"
#include "kernels/cuda/library/cublas.h"
#include "kernels/device/launch.h"
#include "kernels/device/vector.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;

/// c = beta c
template <class T>
__global__ void scale_product_kernel(View<T> c, float beta) {
  const std::int64_t n = c.size(), columns = c.columns();
  for (std::int64_t i = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; i < n;
       i += std::int64_t{kThreads} * gridDim.x) {
    T& value = c.row(i / columns)[i % columns];
    value = beta == 0.0f ? T(0.0f) : T(beta * static_cast<float>(value));
  }
}

void multiply(Stream& stream, Gemm g, const void* a, const void* b, const View<const float>& bias,
              const View<Stored>& c) {
  const Activation activation = g.activation;
  g.activation = Activation::identity;
  const bool fuse_bias = g.bias && g.k > 0 && c.dtype == DType::float32 && activation == Activation::identity &&
                         aligned16(bias.data) && aligned16(c.data) && g.row_stride_c % 4 == 0 &&
                         g.batch_stride_c % 4 == 0;
  const bool finish = (g.bias || activation != Activation::identity) && !fuse_bias;
  g.bias = fuse_bias;
  if (g.k > 0) cublas::gemm(stream, g, a, b, bias.data, c.data);
  for (std::int64_t i = 0; i < g.batch && (finish || g.k == 0); ++i) {
    const View<Stored> product = product_of(c, g, i);
    if (g.k == 0)
      with_stored_type(c.dtype, [&]<class T>() {
        launch(scale_product_kernel<T>, grid_for(product.size(), kThreads), kThreads, 0, stream.cuda(), product.as<T>(),
               g.beta);
      });
    if (finish) cuda::bias_activation(stream, {.z = product, .bias = bias, .y = product, .activation = activation});
  }
}

}  // namespace

void matmul(Stream& stream, const Matmul& a) {
  if (!a.c.empty()) multiply(stream, gemm_of(a), a.a.data, a.b.data, a.bias, a.c);
}

}  // namespace otnfm::cuda
