// What a flow is trained to minimise. One function an objective, so that others can stand beside the paper's.
#pragma once

#include <span>

#include "engine/train/coupling.h"
#include "engine/train/time_weighting.h"
#include "layers/flow.h"

namespace otnfm {

struct ObjectiveEntry {
  const char* name;
  const char* about;
  /// pairs [B, d], times [B, 1] -> loss [1]
  Tensor (*loss)(Tape& tape, Flow& flow, const Pairs& pairs, const Times& times);
};

std::span<const ObjectiveEntry> objectives();

/// E w(t) || F(t, x0) - ((1 - t) x0 + t x1) ||^2, the mean over the batch (method.md, "Training"). Its minimum is
/// E[w(t) t^2] E tr Var[x1 | x0].
Tensor flow_matching_loss(Tape& tape, Flow& flow, const Pairs& pairs, const Times& times);

}  // namespace otnfm
