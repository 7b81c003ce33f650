// Samples of the two-dimensional distributions (kernels/device/distribution.h says what each is). Row i is a function
// of the key and first_row + i alone.
#pragma once

#include <span>
#include <string_view>

#include "kernels/device/distribution.h"
#include "kernels/random.h"

namespace otnfm {

struct SampleDistribution {
  static constexpr const char* kName = "sample_distribution";
  View<float> y;  // [B, 2]
  RandomKey key;
  DistributionKind kind;
};
OTNFM_DECLARE_OP(sample_distribution, SampleDistribution);

/// 8gaussians moons checkerboard swissroll spirals rings pinwheel crescent 25gaussians, in the order of
/// DistributionKind.
std::span<const std::string_view> distribution_names();
std::string_view name_of(DistributionKind kind);

}  // namespace otnfm
