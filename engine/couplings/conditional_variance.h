// How far a coupling is from a function of x0: estimates, made before training.
#pragma once

#include <cstdint>

#include "engine/couplings/batch_solver.h"
#include "engine/data/source.h"

namespace otnfm {

/// E tr Var[x1 | x0] of pairs that are drawn `batch` at a time and paired by `solver` within it: unbiased, from some
/// 1000 noises that each met two batches of fresh others, so its relative error is some percent (more where most noises
/// always meet the same datum). A function of its arguments alone. NaN where its 46 or more solves would take about a
/// second or longer: above 512 pairs a batch, or where batch^2 * dimension is above 2^20.
/// InputError for batch < 1.
double minibatch_conditional_variance(const Source& source, const Dataset& target, std::int64_t batch,
                                      std::uint64_t seed, BatchSolver& solver);

/// The same of a bank of pairs that is dense in its space (row i of x0 belongs to row i of x1; both [n, d]), seen as a
/// map of all noise: half the mean squared distance between the x1 of the nearest noise among the even rows and of that
/// among the odd ones, over 2048 fresh noises. On the bank itself x1 is a function of x0 whatever the pairing; this is
/// what is left where a map must also be smooth, so a bank that is paired badly has a large one. NaN above 4
/// dimensions, where no noise has another near it, and for a single pair.
double bank_conditional_variance(View<const float> x0, View<const float> x1, const Source& source, std::uint64_t seed);

}  // namespace otnfm
