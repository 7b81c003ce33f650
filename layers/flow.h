// Flow: the map F(t, x) from noise to data, with F(0, x) = x exactly, by construction. The one interface of every
// family.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "engine/core/ops.h"
#include "engine/core/parameters.h"
#include "engine/core/tape.h"

namespace otnfm {

class Flow {
 public:
  virtual ~Flow() = default;

  /// F(t, x). t [B, 1], x [B, d] -> [B, d]. F(0, x) is x, bit for bit.
  virtual Tensor forward(Tape& tape, Tensor t, Tensor x) = 0;

  /// What `make_flow` needs to build the same flow again; it is kept in the model file.
  virtual nlohmann::json configuration() const = 0;

  virtual std::int64_t dimension() const = 0;

  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

  /// What matrix products are computed in. Set before `forward`.
  Precision precision = Precision::float32;

 protected:
  Parameters parameters_;
};

struct FlowFamily {
  const char* name;
  const char* about;
  /// Throws InputError where the configuration has an unknown key or a value that cannot be.
  std::unique_ptr<Flow> (*make)(const nlohmann::json& configuration);
};

std::span<const FlowFamily> flow_families();

/// Builds the flow that a configuration {"family": ..., "dimension": d, ...} describes; what it does not say has its
/// default. The parameters are declared, not yet allocated.
std::unique_ptr<Flow> make_flow(const nlohmann::json& configuration);

}  // namespace otnfm
