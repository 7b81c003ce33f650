// The dense solver for costs of very different sizes. Where one of them is forbidding, say 1e12 among 1e-6, potentials
// of its size appear, and what they are added to is rounded to their last place. But no assignment that pays such a
// cost can be better than one that pays less in all: with the answer found, whose cost above the sum of the rows' least
// is E, every cost that is more than E above its row's least is lowered to 2 E above it. That changes no optimal
// assignment, and potentials that are feasible for the lower costs are so for the true ones; solved again, nothing
// dwarfs anything.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/matching/dense_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// Whether potentials of this size leave the digits of `mean_cost`, the mean |C| of the matched pairs, that the gap of
/// an optimal assignment is measured in.
bool digits_are_left(double largest_potential, double mean_cost);

/// The same of a solver's answer. True where a limit ended the solve, or nothing could cost less.
bool is_sharp(const Problem& problem, const Assignment& result);

/// DenseAssignment::solve() on `costs` [n, m], n <= m, some of which may be lowered. Returns the paths of all solves.
std::int64_t solve_sharply(DenseAssignment<double>& dense, std::span<double> costs, std::int64_t n, std::int64_t m,
                           const SolveLimits& limits, std::span<const double> start = {});

}  // namespace otnfm
