// The GRU flow (Bilos et al. 2021, equation 7): x <- x + phi(t) z (u - x), block by block, with
//   r = beta sigmoid(f_r(t, x)),  z = alpha sigmoid(f_z(t, x)),  u = tanh(f_u(t, r x)),  alpha = 2/5, beta = 4/5,
// every f a perceptron with all weights normalised to Lip(f) <= c < 1 and |phi| <= 1. The state is x over `box`, held
// within +-1 inside of the gates; there the residual's Jacobian is at most
//   |u - h| alpha/4 c + alpha (c (beta/4 + beta) + 1) <= 0.4 + 0.6 c < 1,
// a contraction, so that a block is inverted by its fixed point.
#pragma once

#include <vector>

#include "layers/flow.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {

class GruFlow : public Flow {
 public:
  struct Options {
    std::int64_t dimension = 2;
    std::int64_t blocks = 8;
    std::int64_t width = 64;  ///< of the hidden layers of every f
    std::int64_t depth = 2;   ///< hidden layers of every f
    Activation activation = Activation::silu;
    TimeFunctionKind time_function = TimeFunctionKind::tanh;
    std::int64_t fourier_terms = 8;
    double coefficient = 0.97;
    double box = 8;  ///< the data lie within +-box
  };

  explicit GruFlow(const Options& options);

  std::int64_t block_count() const override { return options_.blocks; }
  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override;
  Inversion inversion() const override { return Inversion::fixed_point; }
  nlohmann::json configuration() const override;
  std::int64_t dimension() const override { return options_.dimension; }

 private:
  struct Block {
    TimeFunctionLayer phi;
    Mlp r, z, u;
  };
  Options options_;
  std::vector<Block> blocks_;
  SpectralNorm norm_;
};

std::unique_ptr<Flow> make_gru_flow(const nlohmann::json& configuration);

}  // namespace otnfm
