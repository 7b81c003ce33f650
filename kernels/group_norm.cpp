#include "kernels/group_norm.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Op>
void check_statistics(const Op& a) {
  require(a.x.rank == 3, a.kName, "x must be [B, N, C]", describe(a.x));
  const std::int64_t B = a.x.shape[0], C = a.x.shape[2];
  require_contiguous(a.kName, "x", a.x, {B, a.x.shape[1], C});
  require(C <= kMostGroupNormChannels, a.kName, "too many channels", describe(a.x));
  require_vector(a.kName, "weight", a.weight, C);
  require_vector(a.kName, "bias", a.bias, C);
  if (a.film.data != nullptr) require_matrix(a.kName, "film", a.film, B, 2 * C);
  require(a.mean.rank == 2 && a.mean.columns() > 0 && C % a.mean.columns() == 0, a.kName,
          "mean must be [B, G], where G divides the channels", describe(a.mean));
  require_contiguous(a.kName, "mean", a.mean, {B, a.mean.columns()});
  require_contiguous(a.kName, "rstd", a.rstd, {B, a.mean.columns()});
  require(a.activation == Activation::identity || a.activation == Activation::silu, a.kName,
          "the activation must be identity or silu");
}

void check(const GroupNorm& a) {
  check_statistics(a);
  require_contiguous(a.kName, "y", a.y, {a.x.shape[0], a.x.shape[1], a.x.shape[2]});
  require_stored_alike(a.kName, a.x, a.y);
}

void check(const GroupNormBackward& a) {
  check_statistics(a);
  const std::int64_t B = a.x.shape[0], N = a.x.shape[1], C = a.x.shape[2];
  require_contiguous(a.kName, "dy", a.dy, {B, N, C});
  require_contiguous(a.kName, "dx", a.dx, {B, N, C});
  require_stored_alike(a.kName, a.x, a.dy, a.dx);
  require_vector(a.kName, "dweight", a.dweight, C);
  require_vector(a.kName, "dbias", a.dbias, C);
  require((a.film.data != nullptr) == (a.dfilm.data != nullptr) || B * C == 0, a.kName,
          "dfilm is there where film is, and only there");
  if (a.dfilm.data != nullptr) require_matrix(a.kName, "dfilm", a.dfilm, B, 2 * C);
  require(2 * B * C <= static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(float)), a.kName,
          "too many images times channels for one call", describe(a.x));
}

}  // namespace

OTNFM_DISPATCH_OP(group_norm, GroupNorm);
OTNFM_DISPATCH_OP(group_norm_backward, GroupNormBackward);

}  // namespace otnfm
