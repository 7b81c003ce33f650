// The affine layer and stacks of them.
#pragma once

#include <string>
#include <vector>

#include "engine/core/ops.h"
#include "engine/core/option_table.h"
#include "layers/scope.h"

namespace otnfm {

/// y = activation(x W^T + b), W [out, in], b [out].
class Linear {
 public:
  /// Weights and bias start uniform on +-1/sqrt(in); `zero` makes both start at 0, so that a residual block starts as
  /// the identity.
  Linear(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out, bool zero = false);

  /// x [B, in] -> [B, out], stored as `stored` where the scope's precision is bfloat16, else as float32.
  Tensor operator()(const Scope& s, Tensor x, Activation activation = Activation::identity,
                    DType stored = DType::float32) const;

  Parameter weight() const { return weight_; }
  Parameter bias() const { return bias_; }

 private:
  Parameter weight_, bias_;
};

/// Linear layers of the given widths, with an activation between them and none behind the last.
class Mlp {
 public:
  /// widths: in, hidden ..., out; at least two of them.
  Mlp(Parameters& parameters, const std::string& name, const std::vector<std::int64_t>& widths, Activation activation,
      bool zero_last);

  /// Makes the whole a map of Lipschitz constant `lipschitz` at most, in the 2-norm: every weight is held by `norm`
  /// from now on, and the scope of a call must have that norm.
  void normalise(const Parameters& parameters, SpectralNorm& norm, double lipschitz) const;

  /// x [B, in] -> [B, out] float32; between the layers the scope says what is stored.
  Tensor operator()(const Scope& s, Tensor x) const;

  const std::vector<Linear>& layers() const { return layers_; }

 private:
  std::vector<Linear> layers_;
  Activation activation_;
};

/// "silu", "relu", ... as in Activation; InputError lists them.
Activation activation_by_name(const std::string& name);
const char* name_of(Activation activation);
std::vector<OptionWord> activation_words();

/// The largest slope of the activation.
double lipschitz_constant(Activation activation);

}  // namespace otnfm
