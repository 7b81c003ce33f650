#include "layers/linear.h"

#include <cmath>
#include <span>

#include "layers/table.h"

namespace otnfm {
namespace {

struct NamedActivation {
  const char* name;
  Activation activation;
};

constexpr NamedActivation kActivations[] = {
    {"identity", Activation::identity}, {"relu", Activation::relu}, {"tanh", Activation::tanh},
    {"sigmoid", Activation::sigmoid},   {"silu", Activation::silu}, {"gelu", Activation::gelu},
    {"softplus", Activation::softplus},
};

}  // namespace

Activation activation_by_name(const std::string& name) {
  return find_by_name(std::span<const NamedActivation>(kActivations), name, "activation").activation;
}

const char* name_of(Activation activation) {
  for (const NamedActivation& entry : kActivations)
    if (entry.activation == activation) return entry.name;
  return "unknown";
}

Linear::Linear(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out, bool zero) {
  const Initial initial = zero ? Initial::zeros() : Initial::uniform(1.0 / std::sqrt(static_cast<double>(in)));
  weight_ = parameters.add(name + ".weight", {out, in}, initial, true);
  bias_ = parameters.add(name + ".bias", {out}, initial, false);
}

Tensor Linear::forward(Tape& tape, const Parameters& parameters, Tensor x, Activation activation,
                       Precision precision) const {
  return linear(tape, x, tape.parameter(parameters, weight_), tape.parameter(parameters, bias_), activation, precision);
}

Mlp::Mlp(Parameters& parameters, const std::string& name, const std::vector<std::int64_t>& widths,
         Activation activation, bool zero_last)
    : activation_(activation) {
  if (widths.size() < 2) throw InputError(name + ": a perceptron needs at least two widths");
  for (std::size_t k = 0; k + 1 < widths.size(); ++k)
    layers_.emplace_back(parameters, name + "." + std::to_string(k), widths[k], widths[k + 1],
                         zero_last && k + 2 == widths.size());
}

Tensor Mlp::forward(Tape& tape, const Parameters& parameters, Tensor x, Precision precision) const {
  for (std::size_t k = 0; k < layers_.size(); ++k)
    x = layers_[k].forward(tape, parameters, x, k + 1 < layers_.size() ? activation_ : Activation::identity, precision);
  return x;
}

}  // namespace otnfm
