#include "engine/objectives/time_weighting.h"

#include "engine/core/table.h"

namespace otnfm {
namespace {

// Where t is smaller, the float error of F - x_t, some 1e-7 |x|, would weigh more than a thousandth of t |x1 - x0|.
constexpr float kLowestTime = 1e-3f;

Times draw_uniform(Tape& tape, std::int64_t B, const RandomKey& key) {
  return {.t = uniform(tape, {B, 1}, key), .weight = {}};
}

Times draw_endpoint(Tape& tape, std::int64_t B, const RandomKey& key) {
  return {.t = uniform(tape, {B, 1}, key, 1.0f, 1.0f), .weight = {}};
}

Times draw_inverse_square(Tape& tape, std::int64_t B, const RandomKey& key) {
  const Tensor t = uniform(tape, {B, 1}, key);
  return {.t = t, .weight = time_weight(tape, t, kLowestTime)};
}

constexpr TimeWeighting kTimeWeightings[] = {
    {"uniform", "t uniform on [0, 1], all alike", draw_uniform, 1.0 / 3.0},
    {"endpoint", "t = 1 alone: only the generator is learnt, not the path to it", draw_endpoint, 1.0},
    {"inverse-square", "t uniform on [0, 1], weight 1 / t^2: every time's displacement counts alike",
     draw_inverse_square, 1.0 - 2.0 / 3.0 * kLowestTime},
};

}  // namespace

std::span<const TimeWeighting> time_weightings() {
  return kTimeWeightings;
}

const TimeWeighting& time_weighting_by_name(const std::string& name) {
  return find_by_name(time_weightings(), name, "time weighting");
}

}  // namespace otnfm
