// E w(t) || F(t, x0) - ((1 - t) x0 + t x1) ||^2 + E || F(1, x0) - x1 ||^2, the means over one batch of pairs: the path,
// and again its end, which is all that samples are made of. Its minimum is (E[w(t) t^2] + 1) E tr Var[x1 | x0].
#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
#include "engine/data/random_streams.h"
#include "engine/objectives/objective.h"

namespace otnfm {
namespace {

class PathAndEndpoint : public Objective {
 public:
  explicit PathAndEndpoint(const TimeWeighting& time_weighting)
      : mean_weighted_square_(time_weighting.mean_weighted_square) {}

  bool needs_pairs() const override { return true; }

  Tensor record(Tape& tape, Flow& flow, StepInputs& inputs) override {
    const Pairs& pairs = inputs.pairs();
    const Times& times = inputs.times();
    const Tensor xt = interpolate(tape, pairs.x0, pairs.x1, times.t);
    const Tensor path = squared_error(tape, flow.forward(tape, times.t, pairs.x0), xt, times.weight);
    const Tensor one = uniform(tape, {inputs.batch(), 1}, inputs.key(kTimeStream), 1.0f, 1.0f);
    return add(tape, path, squared_error(tape, flow.forward(tape, one, pairs.x0), pairs.x1));
  }

  nlohmann::json statistics(const CouplingStatistics& pairs) const override {
    return {{"irreducible_loss", number_or_null((mean_weighted_square_ + 1) * pairs.conditional_variance)}};
  }

 private:
  double mean_weighted_square_;
};

}  // namespace

std::unique_ptr<Objective> make_path_and_endpoint(const ObjectiveSetting& setting) {
  return std::make_unique<PathAndEndpoint>(setting.time_weighting);
}

}  // namespace otnfm
