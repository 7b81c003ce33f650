// Anderson's mixing for a fixed point x = T(x): the next x is the combination of the last few T(x_k) whose residuals
// T(x_k) - x_k, so combined, are least in a weighted sum of squares. For a nearly linear T this is GMRES.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace otnfm {

class AndersonMixing {
 public:
  static constexpr int kDepth = 6;

  void reset(std::span<const double> weights);
  void forget() { count_ = 0; }

  /// Replaces x by the next one, given T(x).
  void advance(std::span<double> x, std::span<const double> mapped);

 private:
  std::vector<double> weights_, last_mapped_, last_residual_, residual_;
  std::vector<double> mapped_steps_[kDepth], residual_steps_[kDepth];
  double products_[kDepth][kDepth] = {};
  std::int64_t count_ = 0;  // of the calls since forget()
};

}  // namespace otnfm
