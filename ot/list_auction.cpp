#include "ot/list_auction.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace otnfm {
namespace {

constexpr double kEpsilonRatio = 0.2;
// How far beyond the plan's phases a gap that can be foreseen is still pursued.
constexpr int kMorePhases = 2;
constexpr int kMostPhases = 60;  // of whole costs: 0.2^60 spans what double does

}  // namespace

AuctionEnd run_auction(ShortListAssignment& assignment, const AuctionPlan& plan, const SolveLimits& limits) {
  const auto rounded = [&](double epsilon) {
    return plan.unit > 0 ? std::max(plan.unit, plan.unit * std::exp2(std::floor(std::log2(epsilon / plan.unit))))
                         : epsilon;
  };
  const bool one_phase = static_cast<std::int64_t>(assignment.column_of().size()) < assignment.columns();
  double epsilon = rounded(plan.first_epsilon);
  const std::int64_t start = assignment.bids();
  for (int phase = 0; phase < kMostPhases; ++phase) {
    const SolveLimits rest = limits.remaining(assignment.bids() - start);
    if (rest.reached(0)) return AuctionEnd::limit;
    assignment.auction(epsilon, rest, rest.iterations());
    const ShortListAssignment::Bounds bounds = assignment.bounds();
    if (!bounds.complete) return limits.reached(assignment.bids() - start) ? AuctionEnd::limit : AuctionEnd::left_over;
    const double rows = static_cast<double>(assignment.column_of().size());
    const double gap = bounds.primal - bounds.dual, allowed = plan.max_gap * std::fabs(bounds.primal);
    if (gap <= allowed && plan.max_gap > 0) return AuctionEnd::within_gap;
    if (plan.unit > 0 && epsilon <= plan.unit) return AuctionEnd::within_unit;
    if (one_phase || !(epsilon > 0)) return AuctionEnd::left_over;
    // The gap follows epsilon: what epsilon would do, with something to spare.
    const double enough = gap > 0 ? 0.8 * epsilon * allowed / gap : 0;
    const double least = plan.first_epsilon * std::pow(kEpsilonRatio, plan.phases + kMorePhases - 1);
    double next = std::max(kEpsilonRatio * epsilon, std::max(enough, allowed / rows));
    if (plan.unit == 0 && phase + 1 >= plan.phases && !(enough >= least)) return AuctionEnd::left_over;
    next = rounded(next);
    epsilon = next < epsilon ? next : rounded(epsilon / 2);
  }
  return AuctionEnd::left_over;
}

}  // namespace otnfm
