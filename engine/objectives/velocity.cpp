// E || g(t, x_t) - (x1 - x0) ||^2 over a batch of pairs, x_t = (1 - t) x0 + t x1, t uniform on [0, 1): conditional flow
// matching (Lipman et al. 2023), OT-CFM with pairs of a transport (Tong et al. 2024). What it trains is no map: samples
// are solutions of dx/dt = g(t, x).
#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
#include "engine/data/random_streams.h"
#include "engine/objectives/objective.h"

namespace otnfm {
namespace {

class Velocity : public Objective {
 public:
  bool needs_pairs() const override { return true; }

  Tensor record(Tape& tape, Flow& flow, StepInputs& inputs) override {
    const Pairs& pairs = inputs.pairs();
    const Tensor t = uniform(tape, {inputs.batch(), 1}, inputs.key(kTimeStream));
    const Tensor xt = interpolate(tape, pairs.x0, pairs.x1, t);
    const Tensor along = add(tape, pairs.x1, scale(tape, pairs.x0, -1));
    return squared_error(tape, flow.velocity(tape, t, xt), along);
  }

  std::shared_ptr<const Sampler> sampler() const override {
    return std::make_shared<Integration>(Integration::Method::euler, kEulerSteps);
  }

  // What is left of the loss at the optimum depends on how pairs cross on their way, and is not known.
  nlohmann::json statistics(const CouplingStatistics&) const override { return {{"irreducible_loss", nullptr}}; }

 private:
  static constexpr std::int64_t kEulerSteps = 100;
};

}  // namespace

std::unique_ptr<Objective> make_velocity(const ObjectiveSetting&) {
  return std::make_unique<Velocity>();
}

}  // namespace otnfm
