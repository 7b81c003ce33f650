#include "kernels/cross_entropy.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Arguments>
void check_logits(const Arguments& a) {
  require(a.logits.rank == 2 && a.logits.columns() >= 1, a.kName, "logits must be [B, K], K at least 1",
          describe(a.logits));
  require_matrix(a.kName, "logits", a.logits, a.logits.rows(), a.logits.columns());
  require_matrix(a.kName, "target", a.target, a.logits.rows(), a.logits.columns());
}

void check(const CrossEntropy& a) {
  check_logits(a);
  require(a.logits.rows() <= static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(double)), a.kName,
          "too many rows for one call", describe(a.logits));
  require_vector(a.kName, "loss", a.loss, 1);
}

void check(const CrossEntropyBackward& a) {
  check_logits(a);
  require_vector(a.kName, "dloss", a.dloss, 1);
  require_matrix(a.kName, "dlogits", a.dlogits, a.logits.rows(), a.logits.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(cross_entropy, CrossEntropy);
OTNFM_DISPATCH_OP(cross_entropy_backward, CrossEntropyBackward);

}  // namespace otnfm
