// The pull flow: x <- x + phi_k(t) * (g_k(t, x) - pull x) for k = 1 .. blocks, g_k a multilayer perceptron of [x, t]: a
// ResNet flow whose blocks begin as shrinking and not as the identity. Nothing bounds g_k: it has no inverse.
#pragma once

#include <vector>

#include "layers/flows/flow.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {

class PullFlow : public Flow {
 public:
  struct Options {
    std::int64_t dimension = 2;
    std::int64_t blocks = 4;
    std::int64_t width = 64;  ///< of g's hidden layers
    std::int64_t depth = 3;   ///< hidden layers of g
    Activation activation = Activation::silu;
    TimeFunctionKind time_function = TimeFunctionKind::tanh;
    std::int64_t fourier_terms = 8;
    double pull = 0.1;
  };

  explicit PullFlow(const Options& options);

  std::int64_t block_count() const override { return options_.blocks; }
  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override;
  nlohmann::json configuration() const override;
  std::int64_t dimension() const override { return options_.dimension; }

 private:
  struct Block {
    TimeFunctionLayer phi;
    Mlp g;
  };
  Options options_;
  std::vector<Block> blocks_;
};

std::unique_ptr<Flow> make_pull_flow(const nlohmann::json& configuration);
std::vector<OptionEntry> pull_flow_options();

}  // namespace otnfm
