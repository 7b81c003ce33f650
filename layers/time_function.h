// phi(t) with weights: the factor of g in a residual block. phi(0) = 0 exactly, whatever the weights.
#pragma once

#include <string>
#include <vector>

#include "engine/core/ops.h"
#include "engine/core/option_table.h"
#include "layers/scope.h"

namespace otnfm {

class TimeFunctionLayer {
 public:
  /// d dimensions, each with weights of its own; `terms` is the number of sines of the Fourier kinds.
  TimeFunctionLayer(Parameters& parameters, const std::string& name, TimeFunctionKind kind, std::int64_t d,
                    std::int64_t terms);

  /// t [B, 1] -> phi [B, d]
  Tensor operator()(const Scope& s, Tensor t) const;

  /// The weights [K, d]; undefined for identity.
  Tensor weight(const Scope& s) const { return kind_ == TimeFunctionKind::identity ? Tensor() : s.parameter(weight_); }

 private:
  TimeFunctionKind kind_;
  std::int64_t d_;
  Parameter weight_;  // [K, d]; none for identity
};

/// "identity", "linear", "tanh", "log", "fourier", "bounded_fourier"; InputError lists them.
TimeFunctionKind time_function_by_name(const std::string& name);
const char* name_of(TimeFunctionKind kind);
std::vector<OptionWord> time_function_words();

/// |phi(t)| <= 1 for every t in [0, 1], whatever the weights.
bool bounded_by_one(TimeFunctionKind kind);

}  // namespace otnfm
