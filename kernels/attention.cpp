#include "kernels/attention.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

/// y, dy [B, N, C]; qkv, dqkv [B, N, 3C]
template <class Narrow, class Wide, class LogSum>
void check_heads(const char* op, const Narrow& y, const Wide& qkv, const LogSum& log_sum) {
  require(y.rank == 3, op, "y must be [B, N, C]", describe(y));
  const std::int64_t B = y.shape[0], N = y.shape[1], C = y.shape[2];
  require_contiguous(op, "y", y, {B, N, C});
  require_contiguous(op, "qkv", qkv, {B, N, 3 * C});
  require_stored_alike(op, qkv, y);
  require(log_sum.rank == 3 && log_sum.shape[1] > 0 && C % log_sum.shape[1] == 0, op,
          "log_sum must be [B, heads, N], where heads divides the channels", describe(log_sum));
  require_contiguous(op, "log_sum", log_sum, {B, log_sum.shape[1], N});
}

void check(const Attention& a) {
  check_heads(a.kName, a.y, a.qkv, a.log_sum);
}

void check(const AttentionBackward& a) {
  check_heads(a.kName, a.y, a.qkv, a.log_sum);
  require_contiguous(a.kName, "dy", a.dy, {a.y.shape[0], a.y.shape[1], a.y.shape[2]});
  require_contiguous(a.kName, "dqkv", a.dqkv, {a.y.shape[0], a.y.shape[1], 3 * a.y.shape[2]});
  require_stored_alike(a.kName, a.qkv, a.dy, a.dqkv);
}

}  // namespace

OTNFM_DISPATCH_OP(attention, Attention);
OTNFM_DISPATCH_OP(attention_backward, AttentionBackward);

}  // namespace otnfm
