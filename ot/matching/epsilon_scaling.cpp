#include "ot/matching/epsilon_scaling.h"

#include <algorithm>
#include <cmath>

namespace otnfm {
namespace {

// How far beyond the plan's phases a gap that can be foreseen is still pursued.
constexpr int kMorePhases = 2;
constexpr std::int64_t kTrialBidsPerRow = 30;
constexpr int kMostPhases = 60;  // of whole costs: 0.2^60 spans what double does

}  // namespace

AuctionEnd run_auction(AuctionPhases& auction, const AuctionPlan& plan, const SolveLimits& limits) {
  const auto allowed_epsilon = [&](double epsilon) {
    return plan.unit > 0 ? std::max(plan.unit, plan.unit * std::exp2(std::floor(std::log2(epsilon / plan.unit))))
                         : epsilon;
  };
  const double least = plan.first_epsilon * std::pow(kEpsilonRatio, plan.phases + kMorePhases - 1);
  const std::int64_t start = auction.bids();
  bool trial = plan.trial_epsilon > 0 && plan.trial_epsilon < plan.first_epsilon;
  double epsilon = allowed_epsilon(trial ? plan.trial_epsilon : plan.first_epsilon);
  for (int phase = 1; phase <= kMostPhases; ++phase) {
    const SolveLimits rest = limits.remaining(auction.bids() - start);
    if (rest.reached(0)) return AuctionEnd::limit;
    auction.auction(epsilon, rest,
                    trial ? std::min(rest.iterations(), kTrialBidsPerRow * auction.rows()) : rest.iterations());
    if (rest.out_of_time()) return AuctionEnd::limit;
    const AuctionBounds bounds = auction.bounds(rest);
    if (trial && !bounds.complete) {
      trial = false;
      epsilon = allowed_epsilon(plan.first_epsilon);
      continue;
    }
    trial = false;
    if (!bounds.complete) return limits.reached(auction.bids() - start) ? AuctionEnd::limit : AuctionEnd::left_over;
    const double rounding = plan.rounding + bounds.rounding;
    const double gap = bounds.primal - bounds.dual,
                 allowed = plan.max_gap * std::fabs(bounds.primal + plan.offset) - rounding;
    if (plan.max_gap > 0 && allowed >= rounding && gap <= allowed) return AuctionEnd::within_gap;
    if (plan.unit > 0 && epsilon <= plan.unit) return AuctionEnd::within_unit;
    if (auction.rows() < auction.columns() || !(allowed >= rounding)) return AuctionEnd::left_over;
    // The gap follows epsilon: what epsilon would do, with something to spare.
    const double enough = gap > 0 ? 0.8 * epsilon * allowed / gap : 0;
    if (plan.unit == 0 && phase >= plan.phases && !(enough >= least)) return AuctionEnd::left_over;
    const double next = std::max(
        {kEpsilonRatio * epsilon, std::min(enough, epsilon / 2), allowed / static_cast<double>(auction.rows())});
    epsilon = allowed_epsilon(next < epsilon ? next : epsilon / 2);
  }
  return AuctionEnd::left_over;
}

}  // namespace otnfm
