#include "kernels/upsample.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Small, class Large>
void check_images(const char* op, const char* small_name, const Small& small, const char* large_name,
                  const Large& large) {
  require(small.rank == 4, op, (std::string(small_name) + " must be [B, H, W, C]").c_str(), describe(small));
  const std::int64_t B = small.shape[0], H = small.shape[1], W = small.shape[2], C = small.shape[3];
  require_contiguous(op, small_name, small, {B, H, W, C});
  require_contiguous(op, large_name, large, {B, 2 * H, 2 * W, C});
  require_stored_alike(op, small, large);
}

void check(const Upsample& a) {
  check_images(a.kName, "x", a.x, "y", a.y);
}

void check(const UpsampleBackward& a) {
  check_images(a.kName, "dx", a.dx, "dy", a.dy);
}

}  // namespace

OTNFM_DISPATCH_OP(upsample, Upsample);
OTNFM_DISPATCH_OP(upsample_backward, UpsampleBackward);

}  // namespace otnfm
