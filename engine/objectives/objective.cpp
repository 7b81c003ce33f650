#include "engine/objectives/objective.h"

namespace otnfm {
namespace {

constexpr ObjectiveEntry kObjectives[] = {
    {"flow-matching", "E || F(t, x0) - ((1 - t) x0 + t x1) ||^2", make_flow_matching},
};

}  // namespace

std::span<const ObjectiveEntry> objectives() {
  return kObjectives;
}

}  // namespace otnfm
