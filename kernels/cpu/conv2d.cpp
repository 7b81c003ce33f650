// By oneDNN (kernels/cpu/library/onednn_convolution.h).
#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/cpu/library/onednn_convolution.h"

namespace otnfm::cpu {
namespace {

onednn::Convolution convolution_of(const Extents& image, const Extents& weight, std::int64_t stride) {
  return {.B = image.shape[0],
          .H = image.shape[1],
          .W = image.shape[2],
          .C = image.shape[3],
          .O = weight.shape[0],
          .k = weight.shape[1],
          .stride = stride};
}

}  // namespace

void conv2d(Stream&, const Conv2d& a) {
  if (a.y.empty()) return;
  onednn::Convolution n = convolution_of(a.x, a.weight, a.stride);
  n.dtype = a.x.dtype, n.result_dtype = a.y.dtype;
  n.bias = a.bias.data != nullptr, n.added = a.added.data != nullptr;
  onednn::convolve(n, a.x.data, a.weight.data, a.bias.data, a.added.data, a.y.data);
}

void conv2d_backward_data(Stream&, const Conv2dBackwardData& a) {
  if (a.dx.empty()) return;
  onednn::Convolution n = convolution_of(a.dx, a.weight, a.stride);
  n.dtype = n.result_dtype = a.dx.dtype;
  onednn::convolve_backward_data(n, a.dy.data, a.weight.data, a.dx.data);
}

void conv2d_backward_weight(Stream&, const Conv2dBackwardWeight& a) {
  if (a.x.empty()) {
    std::fill_n(a.dweight.data, a.dweight.size(), 0.0f);
    if (a.dbias.data != nullptr) std::fill_n(a.dbias.data, a.dbias.size(), 0.0f);
    return;
  }
  onednn::Convolution n = convolution_of(a.x, a.dweight, a.stride);
  n.dtype = n.result_dtype = a.x.dtype;
  n.bias = a.dbias.data != nullptr;
  onednn::convolve_backward_weight(n, a.x.data, a.dy.data, a.dweight.data, a.dbias.data);
}

}  // namespace otnfm::cpu
