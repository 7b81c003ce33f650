#include "layers/linear.h"

#include <cmath>
#include <span>

#include "engine/core/table.h"

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

std::vector<OptionWord> activation_words() {
  return words_of(std::span<const NamedActivation>(kActivations));
}

const char* name_of(Activation activation) {
  for (const NamedActivation& entry : kActivations)
    if (entry.activation == activation) return entry.name;
  return "unknown";
}

double lipschitz_constant(Activation activation) {
  switch (activation) {
    case Activation::silu:
      return 1.09984;  // at z = 2.3994
    case Activation::gelu:
      return 1.12905;  // at z = sqrt(2)
    case Activation::sigmoid:
      return 0.25;
    case Activation::identity:
    case Activation::relu:
    case Activation::tanh:
    case Activation::softplus:
      return 1.0;
  }
  return INFINITY;
}

Linear::Linear(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out, bool zero) {
  const Initial initial = zero ? Initial::zeros() : Initial::uniform(1.0 / std::sqrt(static_cast<double>(in)));
  weight_ = parameters.add(name + ".weight", {out, in}, initial, true);
  bias_ = parameters.add(name + ".bias", {out}, initial, false);
}

Tensor Linear::operator()(const Scope& s, Tensor x, Activation activation, DType stored) const {
  return linear(s.tape, x, s.weight(weight_), s.parameter(bias_),
                {.activation = activation, .precision = s.precision, .stored = stored});
}

Mlp::Mlp(Parameters& parameters, const std::string& name, const std::vector<std::int64_t>& widths,
         Activation activation, bool zero_last)
    : activation_(activation) {
  if (widths.size() < 2) throw InputError(name + ": a perceptron needs at least two widths");
  for (std::size_t k = 0; k + 1 < widths.size(); ++k)
    layers_.emplace_back(parameters, name + "." + std::to_string(k), widths[k], widths[k + 1],
                         zero_last && k + 2 == widths.size());
}

void Mlp::normalise(const Parameters& parameters, SpectralNorm& norm, double lipschitz) const {
  const double each = std::pow(lipschitz, 1.0 / static_cast<double>(layers_.size()));
  for (std::size_t k = 0; k < layers_.size(); ++k)
    norm.add(parameters, layers_[k].weight(), k + 1 < layers_.size() ? each / lipschitz_constant(activation_) : each);
}

Tensor Mlp::operator()(const Scope& s, Tensor x) const {
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k) x = layers_[k](s, x, activation_, s.storage);
  return layers_.back()(s, x);
}

}  // namespace otnfm
