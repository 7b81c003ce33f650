// Flow: the map F(t, x) from noise to data, with F(0, x) = x exactly, by construction. The one interface of every
// family.
#pragma once

#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "engine/core/ops.h"
#include "engine/core/option_table.h"
#include "engine/core/parameters.h"
#include "engine/core/standardisation.h"
#include "engine/core/tape.h"
#include "layers/scope.h"

namespace otnfm {

/// How a block is inverted.
enum class Inversion {
  none,         ///< not known to be invertible
  closed_form,  ///< by inverse_block
  fixed_point,  ///< x = y - (block(t, x) - x): the residual block(t, x) - x is a contraction in x
};

struct BlockWithLogDet {
  Tensor y;        ///< [B, d]
  Tensor log_det;  ///< [B, 1]
};

class Flow {
 public:
  virtual ~Flow() = default;

  /// F(t, x). t [B, 1], x [B, d] -> [B, d]. F(0, x) is x, bit for bit. It is the blocks in turn, unless a family has a
  /// faster way to the same result.
  virtual Tensor forward(Tape& tape, Tensor t, Tensor x);

  /// g(t, x) of a flow x + phi(t) g(t, x): what objective `velocity` trains. t [B, 1], x [B, d] -> [B, d]. RunError
  /// where the family has no such g (FlowFamily::has_velocity).
  virtual Tensor velocity(Tape& tape, Tensor t, Tensor x);

  // --- The flow as a chain of blocks, each a map of its own with block(0, x) = x
  virtual std::int64_t block_count() const = 0;

  /// Block k's map. t [B, 1], x [B, d] -> [B, d]
  virtual Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) = 0;

  virtual Inversion inversion() const { return Inversion::none; }

  /// Block k's inverse, Inversion::closed_form only (RunError otherwise). t [B, 1], y [B, d] -> [B, d]
  virtual Tensor inverse_block(Tape& tape, std::int64_t k, Tensor t, Tensor y);

  /// Block k's map together with log|det| of its Jacobian [B, 1], Inversion::closed_form only (RunError otherwise).
  virtual BlockWithLogDet forward_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor x);

  /// Block k's inverse together with log|det| of the inverse's Jacobian [B, 1], Inversion::closed_form only (RunError
  /// otherwise).
  virtual BlockWithLogDet inverse_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor y);

  /// The parameters stay as they are from now on: what depends on them alone is computed here, once, and not at every
  /// run of a tape that does not learn. Tapes recorded later than this must not outlive the flow. RunError where memory
  /// does not suffice.
  virtual void fix_weights() {}

  /// What `make_flow` needs to build the same flow again; it is kept in the model file.
  virtual nlohmann::json configuration() const = 0;

  virtual std::int64_t dimension() const = 0;

  /// Of a sample, as the flow's layers see it and files of samples have it: [d], or [height, width, channels] of a flow
  /// of images. Its product is the dimension; x above is the same numbers in rows [B, d].
  virtual Shape sample_shape() const { return {dimension()}; }

  /// Beyond so many rows at a time more memory is needed and no time is won.
  virtual std::int64_t most_rows() const { return std::numeric_limits<std::int64_t>::max(); }

  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

  /// What matrix products are computed in. Set before `forward`.
  Precision precision = Precision::float32;

  /// What activations, and their gradients, are stored as between layers in precision bfloat16; in others: float32.
  DType bfloat16_storage = DType::bfloat16;

  /// What a flow's dropout draws its numbers from, a stream for each of its layers from this one on. The same key drops
  /// the same numbers, so two calls in a step may share it. Set before a call on a tape that learns.
  RandomKey dropout_key = {};

  /// How F's coordinates are related to the raw ones of the source and of the data. `forward` and the blocks work in
  /// F's own; FlowMap, FlowInverse, the Jacobian and the log-determinant of a whole flow take and return raw numbers.
  /// Set before they are made.
  FlowCoordinates coordinates = {};

 protected:
  /// That the flow's layers are called in.
  Scope scope(Tape& tape, SpectralNorm* norm = nullptr) const {
    return {tape, parameters_, precision, rounds(precision) ? bfloat16_storage : DType::float32, norm};
  }

  Parameters parameters_;
};

struct FlowFamily {
  const char* name;
  const char* about;
  double learning_rate;  ///< that trains it well on points of few dimensions, and
  std::int64_t steps;    ///< how many
  /// Throws InputError where the configuration has an unknown key or a value that cannot be.
  std::unique_ptr<Flow> (*make)(const nlohmann::json& configuration);
  std::vector<OptionEntry> (*options)();  ///< the keys of its configuration, with what they are by default
  bool has_velocity = false;              ///< Flow::velocity
  /// Of a family that is for images alone: all keys that suit these images on this device, beside those that are given.
  nlohmann::json (*image_preset)(const Shape& image, Device device, const nlohmann::json& given) = nullptr;
};

std::span<const FlowFamily> flow_families();

/// Builds the flow that a configuration {"family": ..., "dimension": d, ...} describes; what it does not say has its
/// default. The parameters are declared, not yet allocated.
std::unique_ptr<Flow> make_flow(const nlohmann::json& configuration);

}  // namespace otnfm
