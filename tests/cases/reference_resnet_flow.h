// The ResNet flow and its gradients in double, a row at a time, straight from the formulas of kernels/resnet_flow.h;
// with `rounded`, the operands of every product are rounded to bfloat16, as the layers' own ops round them.
//
// Rounding is not continuous. A float32 sum that is off in its last place rounds to the same bfloat16 as the exact one,
// and then the error is gone; but next to the middle between two neighbours it may round to the other, which is 2^-8
// away, and everything behind it changes. So a row also says whether it is well conditioned: whether every operand
// stays clear of such a middle by more than float32 can be off. Of rows that are, any order of summation gives the same
// operands, and results agree as closely as without rounding.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/device/bfloat16.h"
#include "kernels/resnet_flow.h"
#include "tests/cases/reference_activation.h"
#include "tests/cases/reference_time_function.h"

namespace otnfm::cases {

/// What float32 may be off by: a value, and a bound of its error that a sum of K rounded products keeps in all but one
/// of a billion (a random walk of its partial sums, six deviations).
struct Bounded {
  double value = 0, error = 0;
};

class ResNetFlowRow {
 public:
  /// `weights` [shape.weight_count()] are not copied.
  ResNetFlowRow(const ResNetFlowShape& shape, const double* weights, bool rounded)
      : shape_(shape), weights_(weights), factors_(weights, weights + shape.weight_count()), rounded_(rounded) {
    if (rounded)
      for (double& w : factors_) w = rounding(w);
  }

  /// F(t, x) of one row.
  std::vector<double> forward(double t, const double* x) {
    const std::int64_t d = shape_.dimension;
    well_conditioned = true;
    t_ = t;
    blocks_.assign(static_cast<std::size_t>(shape_.blocks), {});
    state_.resize(static_cast<std::size_t>(d));
    for (std::int64_t j = 0; j < d; ++j) state_[j] = {x[j], 0};
    for (std::int64_t k = 0; k < shape_.blocks; ++k) {
      Block& block = blocks_[k];
      std::vector<Bounded> operand = state_;
      operand.push_back({t, 0});
      for (std::int64_t l = 0; l <= shape_.depth; ++l) {
        block.inputs.push_back(as_operands(operand));
        if (screens_ && !well_conditioned) return {};
        operand = multiply(k, l, block.inputs.back());
        if (l == shape_.depth) break;
        block.sums.push_back(operand);
        for (Bounded& a : operand) {
          const double y = activated(shape_.activation, a.value);
          a = {y, std::abs(slope(a.value)) * a.error + (exact() ? 0 : 5e-7 * std::abs(y) + 1e-8)};
        }
      }
      block.g = operand;
      for (std::int64_t j = 0; j < d; ++j) {
        const double phi = phi_at(k, j), add = phi * block.g[j].value;
        state_[j].error += std::abs(phi) * block.g[j].error + 4e-7 * std::abs(add) + kUnit * std::abs(state_[j].value);
        state_[j].value += add;
      }
    }
    std::vector<double> y;
    for (const Bounded& v : state_) y.push_back(v.value);
    return y;
  }

  /// How far off float32 may be in what the last forward() gave.
  double error() const {
    double most = 0;
    for (const Bounded& v : state_) most = std::max(most, v.error + kUnit * std::abs(v.value));
    return most;
  }

  /// After forward(): the gradient of x for that of F(t, x), dy, which may be off by dy_error. Adds those of the
  /// weights to dweights, where it is given.
  std::vector<double> backward(const double* dy, double dy_error, double* dweights) {
    const std::int64_t d = shape_.dimension;
    std::vector<Bounded> dx;
    for (std::int64_t j = 0; j < d; ++j) dx.push_back({dy[j], dy_error});
    for (std::int64_t k = shape_.blocks - 1; k >= 0; --k) {
      const Block& block = blocks_[k];
      std::vector<Bounded> dz(static_cast<std::size_t>(d));
      for (std::int64_t j = 0; j < d; ++j) {
        const double phi = phi_at(k, j), value = dx[j].value * phi;
        dz[j] = {value, std::abs(phi) * dx[j].error + 4e-7 * std::abs(value)};
        if (dweights != nullptr) add_phi_gradient(k, j, dx[j].value * block.g[j].value, dweights);
      }
      for (std::int64_t l = shape_.depth; l >= 0; --l) {
        const std::int64_t in = shape_.inputs(l), out = shape_.outputs(l), at = shape_.weight(k, l);
        const std::vector<double> gradient = as_operands(dz);
        if (screens_ && !well_conditioned) return {};
        if (dweights != nullptr)
          for (std::int64_t o = 0; o < out; ++o) {
            dweights[shape_.bias(k, l) + o] += dz[o].value;
            for (std::int64_t i = 0; i < in; ++i) dweights[at + o * in + i] += gradient[o] * block.inputs[l][i];
          }
        std::vector<Bounded> dinput(static_cast<std::size_t>(in));
        const std::int64_t terms = std::count_if(gradient.begin(), gradient.end(), [](double v) { return v != 0; });
        for (std::int64_t o = 0; o < out; ++o)
          for (std::int64_t i = 0; i < in; ++i) {
            const double term = gradient[o] * factors_[at + o * in + i];
            dinput[i].value += term;
            dinput[i].error += term * term;
          }
        for (Bounded& v : dinput) v.error = error_of_sum(terms, v.error);
        if (l == 0) {
          for (std::int64_t j = 0; j < d; ++j) {
            dx[j].error += dinput[j].error + kUnit * std::abs(dx[j].value);
            dx[j].value += dinput[j].value;
          }
          break;
        }
        for (std::int64_t i = 0; i < in; ++i) {
          const Bounded& z = block.sums[l - 1][i];
          const double s = slope(z.value), bend = std::abs(slope(z.value + z.error) - slope(z.value - z.error));
          dinput[i].error = std::abs(s) * dinput[i].error + std::abs(dinput[i].value) * (bend + (exact() ? 0 : 1e-6));
          dinput[i].value *= s;
        }
        dz = dinput;
      }
    }
    std::vector<double> result;
    result.reserve(dx.size());
    for (const Bounded& v : dx) result.push_back(v.value);
    return result;
  }

  /// Of a row and the gradient of its result; no further than needed to tell.
  bool is_well_conditioned(double t, const double* x, const double* dy) {
    screens_ = true;
    forward(t, x);
    if (well_conditioned) backward(dy, 0, nullptr);
    screens_ = false;
    return well_conditioned;
  }

  /// After forward(): whether every sum that goes into an activation stays clear of 0, where relu's kink is, by more
  /// than a step of finite differences.
  bool is_clear_of_kinks() const {
    for (const Block& block : blocks_)
      for (const std::vector<Bounded>& sums : block.sums)
        for (const Bounded& z : sums)
          if (std::abs(z.value) < 1e-3) return false;
    return true;
  }

  bool well_conditioned = true;  ///< of the last forward(), and of the backward()s after it

 private:
  static constexpr double kUnit = 6e-8;

  struct Block {
    std::vector<std::vector<double>> inputs;  // of each layer, as operands
    std::vector<std::vector<Bounded>> sums;   // of each hidden layer
    std::vector<Bounded> g;
  };

  /// Of K terms that are not 0; one alone is exact.
  static double error_of_sum(std::int64_t K, double squares) {
    return K <= 1 ? 0 : 1e-7 * (2 + std::sqrt(static_cast<double>(K))) * std::sqrt(squares);
  }

  static double rounding(double x) { return static_cast<double>(static_cast<float>(bfloat16(static_cast<float>(x)))); }

  std::vector<double> as_operands(const std::vector<Bounded>& values) {
    double squares = 0;
    for (const Bounded& v : values) squares += v.value * v.value;
    // A number that is next to nothing beside the others may have either neighbour.
    const double nothing = 4e-6 * std::sqrt(squares / static_cast<double>(values.size()));
    std::vector<double> operands;
    for (const Bounded& v : values) {
      operands.push_back(rounded_ ? rounding(v.value) : v.value);
      if (rounded_ && rounding(v.value + v.error) - rounding(v.value - v.error) > nothing) well_conditioned = false;
    }
    return operands;
  }

  std::vector<Bounded> multiply(std::int64_t k, std::int64_t l, const std::vector<double>& operands) const {
    const std::int64_t in = shape_.inputs(l), out = shape_.outputs(l);
    const double *const weight = factors_.data() + shape_.weight(k, l), *const bias = weights_ + shape_.bias(k, l);
    const std::int64_t terms = std::count_if(operands.begin(), operands.end(), [](double v) { return v != 0; });
    std::vector<Bounded> z(static_cast<std::size_t>(out));
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = bias[o], squares = bias[o] * bias[o];
      for (std::int64_t i = 0; i < in; ++i) {
        const double term = weight[o * in + i] * operands[i];
        sum += term;
        squares += term * term;
      }
      z[o] = {sum, error_of_sum(terms + (bias[o] != 0), squares)};
    }
    return z;
  }

  /// Whether the activation and its slope have no rounding of their own.
  bool exact() const { return shape_.activation == Activation::identity || shape_.activation == Activation::relu; }

  double slope(double z) const {
    constexpr double h = 1e-5;
    return (activated(shape_.activation, z + h) - activated(shape_.activation, z - h)) / (2 * h);
  }

  double phi_at(std::int64_t k, std::int64_t j) const {
    return time_function_at(shape_.phi, weights_ + k * shape_.block_size() + j, shape_.dimension, shape_.phi_weights,
                            t_);
  }

  void add_phi_gradient(std::int64_t k, std::int64_t j, double dphi, double* dweights) const {
    const std::int64_t d = shape_.dimension, K = shape_.phi_weights, at = k * shape_.block_size() + j;
    std::vector<double> w(weights_ + at, weights_ + at + std::max<std::int64_t>(0, (K - 1) * d + 1));
    for (std::int64_t i = 0; i < K; ++i) {
      constexpr double h = 1e-5;
      const double kept = w[i * d];
      w[i * d] = kept + h;
      const double above = time_function_at(shape_.phi, w.data(), d, K, t_);
      w[i * d] = kept - h;
      const double below = time_function_at(shape_.phi, w.data(), d, K, t_);
      w[i * d] = kept;
      dweights[at + i * d] += dphi * (above - below) / (2 * h);
    }
  }

  ResNetFlowShape shape_;
  const double* weights_;
  std::vector<double> factors_;  // the same as operands
  bool rounded_, screens_ = false;
  double t_ = 0;
  std::vector<Block> blocks_;
  std::vector<Bounded> state_;
};

}  // namespace otnfm::cases
