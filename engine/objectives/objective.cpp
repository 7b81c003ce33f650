#include "engine/objectives/objective.h"

namespace otnfm {
namespace {

constexpr ObjectiveEntry kObjectives[] = {
    {"flow-matching", "E || F(t, x0) - ((1 - t) x0 + t x1) ||^2", make_flow_matching},
    {"velocity", "E || g(t, (1 - t) x0 + t x1) - (x1 - x0) ||^2: samples are made by many steps, for comparison",
     make_velocity, /*of_velocity=*/true},
};

}  // namespace

std::span<const ObjectiveEntry> objectives() {
  return kObjectives;
}

}  // namespace otnfm
