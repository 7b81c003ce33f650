#include "kernels/space_to_depth.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Space, class Depth>
void check_patches(const char* op, const char* space_name, const Space& space, const char* depth_name,
                   const Depth& depth, std::int64_t p) {
  require(space.rank == 4, op, (std::string(space_name) + " must be [B, H, W, C]").c_str(), describe(space));
  const std::int64_t B = space.shape[0], H = space.shape[1], W = space.shape[2], C = space.shape[3];
  require(p >= 1 && H % p == 0 && W % p == 0, op, "patch must divide height and width",
          std::to_string(p) + " of " + describe(space));
  require_contiguous(op, space_name, space, {B, H, W, C});
  require_contiguous(op, depth_name, depth, {B, H / p, W / p, p * p * C});
  require_stored_alike(op, space, depth);
}

void check(const SpaceToDepth& a) {
  check_patches(a.kName, "x", a.x, "y", a.y, a.patch);
}

void check(const DepthToSpace& a) {
  check_patches(a.kName, "y", a.y, "x", a.x, a.patch);
}

}  // namespace

OTNFM_DISPATCH_OP(space_to_depth, SpaceToDepth);
OTNFM_DISPATCH_OP(depth_to_space, DepthToSpace);

}  // namespace otnfm
