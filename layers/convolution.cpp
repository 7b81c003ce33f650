#include "layers/convolution.h"

#include <algorithm>
#include <cmath>

namespace otnfm {
namespace {

std::int64_t groups_for(std::int64_t channels) {
  std::int64_t groups = std::clamp<std::int64_t>(channels / 4, 1, 32);
  while (channels % groups != 0) --groups;
  return groups;
}

}  // namespace

Convolution::Convolution(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
                         std::int64_t k, bool zero) {
  const double fan_in = static_cast<double>(k * k * in);
  const Initial initial = zero ? Initial::zeros() : Initial::uniform(1.0 / std::sqrt(fan_in));
  weight_ = parameters.add(name + ".weight", {out, k, k, in}, initial, true);
  bias_ = parameters.add(name + ".bias", {out}, initial, false);
}

Tensor Convolution::operator()(const Scope& s, Tensor x, Tensor added) const {
  return conv2d(s.tape, x, s.parameter(weight_), s.parameter(bias_),
                {.precision = s.precision, .stored = s.storage, .added = added});
}

Tensor Convolution::halve(const Scope& s, Tensor x) const {
  return conv2d(s.tape, x, s.parameter(weight_), s.parameter(bias_),
                {.stride = 2, .precision = s.precision, .stored = s.storage});
}

Tensor Convolution::as_float32(const Scope& s, Tensor x) const {
  return conv2d(s.tape, x, s.parameter(weight_), s.parameter(bias_), {.precision = s.precision});
}

GroupNormalisation::GroupNormalisation(Parameters& parameters, const std::string& name, std::int64_t channels)
    : groups_(groups_for(channels)) {
  weight_ = parameters.add(name + ".weight", {channels}, Initial::constant(1), false);
  bias_ = parameters.add(name + ".bias", {channels}, Initial::zeros(), false);
}

Tensor GroupNormalisation::operator()(const Scope& s, Tensor x, Activation activation, Tensor film) const {
  return group_norm(s.tape, x, s.parameter(weight_), s.parameter(bias_), film, groups_, activation);
}

}  // namespace otnfm
