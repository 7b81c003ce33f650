// How far optimal transport inside batches is from a function of x0: an estimate, made before training.
#pragma once

#include <cstdint>

#include "engine/data/source.h"

namespace otnfm {

/// E tr Var[x1 | x0] of pairs that are drawn `batch` at a time and assigned exactly within it: unbiased, from some 1000
/// noises that each met two batches of fresh others, so its relative error is some percent (more where most noises
/// always meet the same datum). A function of its arguments alone. NaN where its 46 or more solves would take about a
/// second or longer: above 512 pairs a batch, or where batch^2 * dimension is above 2^20.
/// InputError for batch < 1.
double minibatch_conditional_variance(const Source& source, const Dataset& target, std::int64_t batch,
                                      std::uint64_t seed);

}  // namespace otnfm
