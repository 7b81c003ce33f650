// E w(t) || F(t, x0) - ((1 - t) x0 + t x1) ||^2, the mean over a batch of pairs (method.md, "Training"). Its minimum is
// E[w(t) t^2] E tr Var[x1 | x0].
#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
#include "engine/objectives/objective.h"

namespace otnfm {
namespace {

class FlowMatching : public Objective {
 public:
  explicit FlowMatching(const TimeWeighting& time_weighting)
      : mean_weighted_square_(time_weighting.mean_weighted_square) {}

  bool needs_pairs() const override { return true; }

  Tensor record(Tape& tape, Flow& flow, StepInputs& inputs) override {
    const Pairs& pairs = inputs.pairs();
    const Times& times = inputs.times();
    const Tensor xt = interpolate(tape, pairs.x0, pairs.x1, times.t);
    return squared_error(tape, flow.forward(tape, times.t, pairs.x0), xt, times.weight);
  }

  nlohmann::json statistics(const CouplingStatistics& pairs) const override {
    return {{"irreducible_loss", number_or_null(mean_weighted_square_ * pairs.conditional_variance)}};
  }

 private:
  double mean_weighted_square_;
};

}  // namespace

std::unique_ptr<Objective> make_flow_matching(const ObjectiveSetting& setting) {
  return std::make_unique<FlowMatching>(setting.time_weighting);
}

}  // namespace otnfm
