// The GRU flow (Bilos et al. 2021, equation 7): x <- x + phi(t) z (u - x), block by block, with
//   r = beta sigmoid(f_r(t, x)),  z = alpha sigmoid(f_z(t, x)),  u = tanh(f_u(t, r x)),  beta = 4/5,
// every f a perceptron with all weights normalised to a Lipschitz constant L_r, L_z, L_u, and |phi| <= 1. The state is
// h = x over `box`, held within +-1 inside of the gates; there the residual's Jacobian is at most
//   |u - h| alpha/4 L_z + alpha (L_u beta (1 + L_r / 4) + 1) <= alpha (L_z / 2 + L_u + 1) = c < 1,  L_r = 1,
// a contraction, so that a block is inverted by its fixed point. The paper has alpha = 2/5 and every L at most 1: then
// a block hardly expands, since u - h takes back what u gives, and noise stays noise. A smaller alpha leaves more to
// L_u = 9/10 (c / alpha - 1), and a block expands by nearly 1 + c; the box, which is larger then, keeps the step.
#pragma once

#include <vector>

#include "layers/flows/flow.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {

class GruFlow : public Flow {
 public:
  struct Options {
    std::int64_t dimension = 2;
    std::int64_t blocks = 12;
    std::int64_t width = 48;                   ///< of the hidden layers of every f
    std::int64_t depth = 2;                    ///< hidden layers of every f
    Activation activation = Activation::relu;  // of slope 1, as every layer's norm is bounded
    TimeFunctionKind time_function = TimeFunctionKind::tanh;
    std::int64_t fourier_terms = 8;
    double coefficient = 0.97;  ///< c, of the whole residual
    double alpha = 0.04;        ///< the largest gate
    double box = 20;            ///< the data lie well within +-box
  };

  explicit GruFlow(const Options& options);

  std::int64_t block_count() const override { return options_.blocks; }
  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override;
  Inversion inversion() const override { return Inversion::fixed_point; }
  void fix_weights() override { norm_.fix(parameters_); }
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
std::vector<OptionEntry> gru_flow_options();

}  // namespace otnfm
