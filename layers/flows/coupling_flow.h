// The coupling flow: of each block's columns a mask keeps some, a, and the rest, b, are moved by what a perceptron
// makes of [a, t], so that every block has its inverse and log-determinant in closed form. affine (Bilos et al. 2021,
// equation 8): b <- b exp(s(t,a) phi_s(t)) + m(t,a) phi_m(t), with the log-scale held below a bound. spline: every b
// goes through a rational-quadratic spline with weights from [a, t], times phi(t) (kernels/spline_coupling.h).
#pragma once

#include <vector>

#include "engine/core/ops/flow_ops.h"
#include "kernels/memory.h"
#include "layers/flows/flow.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {

class CouplingFlow : public Flow {
 public:
  enum class Mask {
    alternating,  ///< even columns move in even blocks, odd columns in odd ones
    random,       ///< half of the columns at random move in even blocks, the other half in the odd ones that follow
  };

  enum class Transform { affine, spline };

  struct Options {
    std::int64_t dimension = 2;
    std::int64_t blocks = 12;
    std::int64_t width = 64;  ///< of the conditioner's hidden layers
    std::int64_t depth = 2;   ///< hidden layers of the conditioner
    Activation activation = Activation::silu;
    TimeFunctionKind time_function = TimeFunctionKind::tanh;
    std::int64_t fourier_terms = 8;
    Mask mask = Mask::alternating;
    std::int64_t mask_seed = 0;
    Transform transform = Transform::affine;
    double log_scale_bound = 2;  ///< of an element's log-scale; of the log-slope at a spline's knots
    std::int64_t bins = 16;      ///< of a spline
    double box = 8;              ///< of a spline: outside of +-box a block is the identity
  };

  /// Throws InputError where there is one dimension: no column is left to move by.
  explicit CouplingFlow(const Options& options);

  std::int64_t block_count() const override { return options_.blocks; }
  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override;
  Inversion inversion() const override { return Inversion::closed_form; }
  Tensor inverse_block(Tape& tape, std::int64_t k, Tensor t, Tensor y) override;
  BlockWithLogDet forward_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor x) override;
  BlockWithLogDet inverse_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor y) override;
  nlohmann::json configuration() const override;
  std::int64_t dimension() const override { return options_.dimension; }

 private:
  struct Block {
    std::vector<std::int64_t> columns;  // [d]: those that stay, then those that move
    Memory columns_there;               // the same on the device, once it is known
    std::vector<TimeFunctionLayer> phi;
    Mlp conditioner;
    std::int64_t moved() const { return static_cast<std::int64_t>(columns.size()) - kept; }
    std::int64_t kept = 0;
  };
  Coupled couple(Tape& tape, std::int64_t k, Tensor t, Tensor x, bool inverse, bool with_log_det);

  Options options_;
  std::vector<Block> blocks_;
};

std::unique_ptr<Flow> make_coupling_flow(const nlohmann::json& configuration);
std::vector<OptionEntry> coupling_flow_options();

}  // namespace otnfm
