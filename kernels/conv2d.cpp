#include "kernels/conv2d.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

std::int64_t strided(std::int64_t size, std::int64_t stride) {
  return (size + stride - 1) / stride;
}

/// What the three have in common: x and dx of the image's side, y and dy of the result's.
template <class Image, class Weight, class Result>
void check_shapes(const char* op, const char* image_name, const Image& image, const char* weight_name,
                  const Weight& weight, const char* result_name, const Result& result, std::int64_t stride) {
  require(image.rank == 4, op, (std::string(image_name) + " must be [B, H, W, C]").c_str(), describe(image));
  require(weight.rank == 4, op, (std::string(weight_name) + " must be [O, k, k, C]").c_str(), describe(weight));
  for (int axis = 1; axis < 4; ++axis)
    require(image.shape[axis] >= 1 && weight.shape[axis - 1] >= 1, op, "sizes must be at least 1", describe(image));
  require(stride == 1 || stride == 2, op, "stride must be 1 or 2", std::to_string(stride));
  const std::int64_t O = weight.shape[0], k = weight.shape[1], C = image.shape[3];
  require(k == 1 || k == 3, op, (std::string(weight_name) + ": a kernel must be 1x1 or 3x3").c_str(), describe(weight));
  require_contiguous(op, image_name, image, {image.shape[0], image.shape[1], image.shape[2], C});
  require_contiguous(op, weight_name, weight, {O, k, k, C});
  require_contiguous(op, result_name, result,
                     {image.shape[0], strided(image.shape[1], stride), strided(image.shape[2], stride), O});
}

void check(const Conv2d& a) {
  check_shapes(a.kName, "x", a.x, "weight", a.weight, "y", a.y, a.stride);
  require_stored_alike(a.kName, a.x, a.weight);
  require(a.y.dtype == a.x.dtype || a.y.dtype == DType::float32, a.kName, "y must be stored as x is, or float32",
          name_of(a.y.dtype));
  if (a.bias.data != nullptr) require_vector(a.kName, "bias", a.bias, a.weight.shape[0]);
  if (a.added.data == nullptr) return;
  require(same_shape(a.added, a.y) && a.added.contiguous(), a.kName, "added must have the shape of y",
          describe(a.added));
  require_stored_alike(a.kName, a.y, a.added);
}

void check(const Conv2dBackwardData& a) {
  check_shapes(a.kName, "dx", a.dx, "weight", a.weight, "dy", a.dy, a.stride);
  require_stored_alike(a.kName, a.dy, a.weight, a.dx);
}

void check(const Conv2dBackwardWeight& a) {
  check_shapes(a.kName, "x", a.x, "dweight", a.dweight, "dy", a.dy, a.stride);
  require_stored_alike(a.kName, a.x, a.dy);
  if (a.dbias.data != nullptr) require_vector(a.kName, "dbias", a.dbias, a.dweight.shape[0]);
}

}  // namespace

OTNFM_DISPATCH_OP(conv2d, Conv2d);
OTNFM_DISPATCH_OP(conv2d_backward_data, Conv2dBackwardData);
OTNFM_DISPATCH_OP(conv2d_backward_weight, Conv2dBackwardWeight);

}  // namespace otnfm
