// Stands in for kernels/cuda/library, the wrappers of NVIDIA's libraries, which the host compiler cannot build: the
// CPU's op does the same work, put on the stream, so that it runs in order and is replayed with a captured graph.
#include "kernels/cuda/library/cublas.h"
#include "kernels/error.h"
#include "simt.h"

namespace otnfm::cuda {
namespace {

Extents operand(std::int64_t batch, std::int64_t batch_stride, std::int64_t rows, std::int64_t columns,
                std::int64_t row_stride) {
  Extents extents({batch, rows, columns});
  extents.stride[0] = batch_stride;
  extents.stride[1] = row_stride;
  return extents;
}

Matmul arguments_of(const Gemm& g, const void* a, const void* b, const float* bias, void* c) {
  Matmul arguments;
  arguments.a = {
      a, g.dtype,
      operand(g.batch, g.batch_stride_a, g.transpose_a ? g.k : g.m, g.transpose_a ? g.m : g.k, g.row_stride_a)};
  arguments.b = {
      b, g.dtype,
      operand(g.batch, g.batch_stride_b, g.transpose_b ? g.n : g.k, g.transpose_b ? g.k : g.n, g.row_stride_b)};
  arguments.c = {c, g.result_dtype, operand(g.batch, g.batch_stride_c, g.m, g.n, g.row_stride_c)};
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

void cublas::gemm(Stream& stream, const Gemm& g, const void* a, const void* b, const float* bias, void* c) {
  if (g.batch < 1 || g.m < 1 || g.n < 1 || g.k < 1 || g.activation != Activation::identity)
    throw RunError("cuBLAS was asked for what it does not do at " + describe(g));
  if (g.bias && !(g.result_dtype == DType::float32 && aligned(bias) && aligned(c) && g.row_stride_c % 4 == 0 &&
                  g.batch_stride_c % 4 == 0))
    throw RunError("cuBLAS was asked to add a bias that is misaligned, or to a bfloat16 result, at " + describe(g));
  const cudaError_t status = simt::enqueue(stream.cuda(), [=] {
    thread_local Stream cpu(Device::cpu);
    cpu::matmul(cpu, arguments_of(g, a, b, bias, c));
  });
  if (status != cudaSuccess)
    throw RunError("CUDA failed while starting " + describe(g) + ": " + cudaGetErrorString(status));
}

}  // namespace otnfm::cuda
