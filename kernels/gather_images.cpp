#include "kernels/gather_images.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const GatherImages& a) {
  require(a.images.rank == 4 && a.images.contiguous() && (a.images.data != nullptr || a.images.empty()), a.kName,
          "images must be [n, H, W, C], contiguous, with memory", describe(a.images));
  const std::int64_t* const sizes = a.images.shape;
  const std::int64_t pixels = sizes[1] * sizes[2] * sizes[3];
  require(pixels < std::int64_t{1} << 31, a.kName, "an image must be of less than 2^31 bytes", describe(a.images));
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), pixels);
  require_vector(a.kName, "index", a.index, a.y.rows());
}

}  // namespace

OTNFM_DISPATCH_OP(gather_images, GatherImages);

}  // namespace otnfm
