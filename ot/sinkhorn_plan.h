// Sinkhorn's plan entry by entry, from its potentials: for small problems, whose plan is written or looked at.
#pragma once

#include <cstdint>
#include <vector>

#include "ot/cost.h"
#include "ot/sinkhorn.h"

namespace otnfm {

/// The share that a plan may take of the time for the plan, its pairs and their proof.
constexpr double kPlanShare = 0.75;

class SinkhornPlan {
 public:
  /// Of the problem that `result` solves under these options. The problem's memory must stay valid; nothing else must.
  SinkhornPlan(const Problem& problem, const SinkhornOptions& options, const SinkhornResult& result);

  /// P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon).
  double operator()(std::int64_t i, std::int64_t j) const;

 private:
  Problem problem_;
  std::vector<double> a_, b_, f_, g_;
  double epsilon_;
};

}  // namespace otnfm
