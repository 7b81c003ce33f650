// The convolution and the normalisation of images as layers.
#pragma once

#include <string>

#include "engine/core/ops.h"
#include "layers/scope.h"

namespace otnfm {

/// y = x * W + b, W [out, k, k, in], b [out].
class Convolution {
 public:
  /// Weights and bias start uniform on +-1/sqrt(k k in); `zero` makes both start at 0, so that a residual block starts
  /// as the identity.
  Convolution(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out, std::int64_t k,
              bool zero = false);

  /// x [B, H, W, in] -> [B, H, W, out], stored as the scope says; `added`, of that shape, is added to it.
  Tensor operator()(const Scope& s, Tensor x, Tensor added = {}) const;
  /// x [B, H, W, in] -> [B, ceil(H / 2), ceil(W / 2), out]
  Tensor halve(const Scope& s, Tensor x) const;
  /// The result as float32, whatever the scope says.
  Tensor as_float32(const Scope& s, Tensor x) const;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }

 private:
  Parameter weight_, bias_;
};

/// Group normalisation with an activation behind it and, if it is given, FiLM between the two (kernels/group_norm.h).
class GroupNormalisation {
 public:
  /// In as many groups as divide the channels, 32 at most, of 4 channels at least.
  GroupNormalisation(Parameters& parameters, const std::string& name, std::int64_t channels);

  /// x [B, H, W, C] -> the same shape; film [B, 2C] or undefined.
  Tensor operator()(const Scope& s, Tensor x, Activation activation, Tensor film = {}) const;

  std::int64_t groups() const { return groups_; }

 private:
  std::int64_t groups_;
  Parameter weight_, bias_;
};

}  // namespace otnfm
