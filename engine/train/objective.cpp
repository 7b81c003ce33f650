#include "engine/train/objective.h"

namespace otnfm {
namespace {

constexpr ObjectiveEntry kObjectives[] = {
    {"flow-matching", "E || F(t, x0) - ((1 - t) x0 + t x1) ||^2", flow_matching_loss},
};

}  // namespace

std::span<const ObjectiveEntry> objectives() {
  return kObjectives;
}

Tensor flow_matching_loss(Tape& tape, Flow& flow, const Pairs& pairs, const Times& times) {
  const Tensor xt = interpolate(tape, pairs.x0, pairs.x1, times.t);
  return squared_error(tape, flow.forward(tape, times.t, pairs.x0), xt, times.weight);
}

}  // namespace otnfm
