// Stands in for kernels/cuda/library, the wrappers of NVIDIA's libraries, which the host compiler cannot build: the
// CPU's op does the same work, put on the stream, so that it runs in order and is replayed with a captured graph.
#include <algorithm>

#include "kernels/cuda/library/cublas.h"
#include "kernels/cuda/library/cudnn.h"
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

void cudnn::close(void*) noexcept {}

bool cudnn::convolve(Stream& stream, const Convolution& n, const Operands& operands) {
  if (std::min({n.B, n.H, n.W, n.C, n.O}) < 1) throw RunError("cuDNN was asked for a convolution of nothing");
  for (const void* pointer : {operands.image, operands.weight, operands.result, operands.bias, operands.added})
    if (!aligned(pointer)) throw RunError("cuDNN was asked for a convolution of misaligned numbers");
  // About what it has no engine for.
  if (n.dtype != n.result_dtype && (n.C % 4 != 0 || n.O % 4 != 0)) return false;
  const cudaError_t status = simt::enqueue(stream.cuda(), [=] {
    thread_local Stream cpu(Device::cpu);
    // Which of them are written depends on the kind.
    const auto view = [](const void* data, DType dtype, const Extents& extents) {
      return View<Stored>(const_cast<void*>(data), dtype, extents);
    };
    const Extents image({n.B, n.H, n.W, n.C}), weight({n.O, n.k, n.k, n.C});
    const Extents result({n.B, n.rows(), n.columns(), n.O});
    if (n.kind == Kind::forward) {
      Conv2d a;
      a.x = view(operands.image, n.dtype, image);
      a.weight = view(operands.weight, n.dtype, weight);
      if (n.bias) a.bias = View<const float>(static_cast<const float*>(operands.bias), {n.O});
      if (n.added) a.added = view(operands.added, n.result_dtype, result);
      a.y = view(operands.result, n.result_dtype, result);
      a.stride = n.stride;
      cpu::conv2d(cpu, a);
    } else if (n.kind == Kind::backward_data) {
      cpu::conv2d_backward_data(cpu, {.dy = view(operands.result, n.dtype, result),
                                      .weight = view(operands.weight, n.dtype, weight),
                                      .dx = view(operands.image, n.result_dtype, image),
                                      .stride = n.stride});
    } else {
      cpu::conv2d_backward_weight(
          cpu, {.x = view(operands.image, n.dtype, image),
                .dy = view(operands.result, n.dtype, result),
                .dweight = View<float>(static_cast<float*>(const_cast<void*>(operands.weight)), weight),
                .dbias = {},
                .stride = n.stride});
    }
  });
  if (status != cudaSuccess)
    throw RunError(std::string("CUDA failed while starting a convolution: ") + cudaGetErrorString(status));
  return true;
}

}  // namespace otnfm::cuda
