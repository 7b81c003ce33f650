#include "kernels/distribution.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

// In the order of DistributionKind.
constexpr std::string_view kNames[] = {"8gaussians", "moons",    "checkerboard", "swissroll",  "spirals",
                                       "rings",      "pinwheel", "crescent",     "25gaussians"};

bool is_known(DistributionKind kind) {
  return static_cast<unsigned>(kind) < std::size(kNames);
}

void check(const SampleDistribution& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), 2);
  if (a.key.step.data) require_vector(a.kName, "key.step", a.key.step, 1);
  require(a.key.first_row >= 0, a.kName, "key.first_row must not be negative", std::to_string(a.key.first_row));
  require(is_known(a.kind), a.kName, "kind is not a distribution", std::to_string(static_cast<int>(a.kind)));
}

}  // namespace

OTNFM_DISPATCH_OP(sample_distribution, SampleDistribution);

std::span<const std::string_view> distribution_names() {
  return kNames;
}

std::string_view name_of(DistributionKind kind) {
  return is_known(kind) ? kNames[static_cast<int>(kind)] : "unknown";
}

}  // namespace otnfm
