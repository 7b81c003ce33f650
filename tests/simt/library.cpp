// Stands in for kernels/cuda/library, the wrappers of NVIDIA's libraries, which the host compiler cannot build: the
// CPU's op does the same work, put on the stream, so that it runs in order and is replayed with a captured graph.
#include "kernels/cuda/library/cublas.h"
#include "kernels/error.h"
#include "simt.h"

namespace otnfm::cuda {
namespace {

template <class T, class Pointer>
View<T> operand(Pointer data, std::int64_t batch, std::int64_t batch_stride, std::int64_t rows, std::int64_t columns,
                std::int64_t row_stride) {
  View<T> v(static_cast<T*>(data), {batch, rows, columns});
  v.stride[0] = batch_stride;
  v.stride[1] = row_stride;
  return v;
}

template <class T, class Arguments>
Arguments arguments_of(const Gemm& g, const void* a, const void* b, const float* bias, float* c) {
  Arguments arguments;
  arguments.a = operand<const T>(a, g.batch, g.batch_stride_a, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k,
                                 g.row_stride_a);
  arguments.b = operand<const T>(b, g.batch, g.batch_stride_b, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n,
                                 g.row_stride_b);
  arguments.c = operand<float>(c, g.batch, g.batch_stride_c, g.m, g.n, g.row_stride_c);
  arguments.transpose_a = g.transpose_a;
  arguments.transpose_b = g.transpose_b;
  arguments.beta = g.beta;
  if (g.bias) arguments.bias = View<const float>(bias, {g.n});
  return arguments;
}

bool aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

}  // namespace

void* cublas::open() {
  static char library;
  return &library;
}

void cublas::close(void*) noexcept {}

void cublas::gemm(Stream& stream, const Gemm& g, const void* a, const void* b, const float* bias, float* c) {
  if (g.batch < 1 || g.m < 1 || g.n < 1 || g.k < 1 || g.activation != Activation::identity)
    throw RunError("cuBLAS was asked for what it does not do at " + describe(g));
  if (g.bias && !(aligned(bias) && aligned(c) && g.row_stride_c % 4 == 0 && g.batch_stride_c % 4 == 0))
    throw RunError("cuBLAS was asked to add a misaligned bias at " + describe(g));
  const cudaError_t status = simt::enqueue(stream.cuda(), [=] {
    thread_local Stream cpu(Device::cpu);
    if (g.dtype == DType::bfloat16)
      cpu::matmul_bfloat16(cpu, arguments_of<bfloat16, MatmulBfloat16>(g, a, b, bias, c));
    else
      cpu::matmul(cpu, arguments_of<float, Matmul>(g, a, b, bias, c));
  });
  if (status != cudaSuccess)
    throw RunError("CUDA failed while starting " + describe(g) + ": " + cudaGetErrorString(status));
}

}  // namespace otnfm::cuda
