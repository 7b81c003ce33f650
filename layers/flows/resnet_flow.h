// The ResNet flow (Bilos et al. 2021, equation 6): x <- x + phi_k(t) * g_k(t, x) for k = 1 .. blocks, g_k a multilayer
// perceptron of [x, t]. It is free, or invertible: then |phi_k| <= 1, all weights of g_k are normalised (all, where the
// authors' code leaves the first free) and Lip(g_k) <= coefficient < 1, so that y -> y - phi_k(t) g_k(t, x) contracts.
#pragma once

#include <vector>

#include "kernels/resnet_flow.h"
#include "layers/flows/flow.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {

class ResNetFlow : public Flow {
 public:
  struct Options {
    std::int64_t dimension = 2;
    std::int64_t blocks = 4;
    std::int64_t width = 64;  ///< of g's hidden layers
    std::int64_t depth = 3;   ///< hidden layers of g
    Activation activation = Activation::silu;
    TimeFunctionKind time_function = TimeFunctionKind::tanh;
    std::int64_t fourier_terms = 8;
    bool invertible = false;
    double coefficient = 0.97;  ///< of an invertible flow, for the whole of g_k: its layers share it
  };

  explicit ResNetFlow(const Options& options);

  /// In one kernel where it takes the shape (kernels/resnet_flow.h) and `one_kernel` holds, else block by block; equal
  /// to rounding.
  Tensor forward(Tape& tape, Tensor t, Tensor x) override;

  /// What all blocks together add to x with every phi = 1.
  Tensor velocity(Tape& tape, Tensor t, Tensor x) override;

  /// For comparisons. Set before `forward`.
  bool one_kernel = true;

  std::int64_t block_count() const override { return options_.blocks; }
  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override;
  Inversion inversion() const override { return options_.invertible ? Inversion::fixed_point : Inversion::none; }
  void fix_weights() override;
  nlohmann::json configuration() const override;
  std::int64_t dimension() const override { return options_.dimension; }

 private:
  struct Block {
    TimeFunctionLayer phi;
    Mlp g;
  };
  ResNetFlowShape shape() const;
  Tensor packed_weights(Tape& tape);

  Options options_;
  std::vector<Block> blocks_;
  SpectralNorm norm_;  // of an invertible flow
  // Once the weights are fixed: all of them in one piece, and the tape that owns their memory.
  std::unique_ptr<Tape> fixed_;
  View<float> fixed_weights_;
};

std::unique_ptr<Flow> make_resnet_flow(const nlohmann::json& configuration);
std::vector<OptionEntry> resnet_flow_options();

}  // namespace otnfm
