// A trained flow of two dimensions once more, in double and with its derivative, from the formulas and the weights:
// what the map's Jacobian should be.
#pragma once

// g++ 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <unsupported/Eigen/AutoDiff>
#include <vector>

#include "layers/flows/flow.h"
#include "layers/linear.h"

namespace otnfm::test {

class FlowInDouble {
 public:
  using Number = Eigen::AutoDiffScalar<Eigen::Vector2d>;  // with its derivatives by x
  using Numbers = std::vector<Number>;

  /// Phi is tanh, masks alternate: the families' defaults. The parameters lie on the CPU.
  explicit FlowInDouble(const Flow& flow) : options_(flow.configuration()), blocks_(flow.block_count()) {
    const Parameters& parameters = flow.parameters();
    for (int i = 0; i < parameters.count(); ++i) {
      const Shape& shape = parameters.shape(i);
      const std::int64_t rows = shape.size() == 2 ? shape[0] : 1, columns = shape.back();
      Eigen::MatrixXd& weight = weights_[parameters.name(i)];
      weight.resize(rows, columns);
      const float* values = parameters.value({i}).data;
      for (std::int64_t k = 0; k < rows * columns; ++k) weight(k / columns, k % columns) = values[k];
    }
    family_ = options_["family"];
    const double c = options_.value("coefficient", 1.0);
    if (family_ == "gru") {
      const double box = options_["box"], left = c / options_["alpha"].get<double>() - 1;
      normalise({{".r", 1 / box}, {".z", 0.2 * left / box}, {".u", 0.9 * left / box}});
    } else if (options_.value("invertible", false)) {
      normalise({{".g", c}});
    }
  }

  /// F(t, x) and dF/dx.
  void operator()(double t, const Eigen::Vector2d& x, Eigen::Vector2d& y, Eigen::Matrix2d& jacobian) {
    Numbers point = {Number(x[0], 2, 0), Number(x[1], 2, 1)};
    nearest_kink = std::numeric_limits<double>::infinity();
    for (std::int64_t k = 0; k < blocks_; ++k) point = block(k, t, point);
    for (int i = 0; i < 2; ++i) {
      y[i] = point[static_cast<std::size_t>(i)].value();
      jacobian.row(i) = point[static_cast<std::size_t>(i)].derivatives();
    }
  }

  /// How near to a kink, of a ReLU or at the end of a box, the last point came: nearer than rounding, and float32 may
  /// see the derivative of the other side.
  double nearest_kink = 0;

 private:
  /// As layers/spectral_norm.h: the iteration's upper bound on the norm, from the vectors that training has left.
  void normalise(const std::vector<std::pair<std::string, double>>& perceptrons) {
    const Activation activation = activation_by_name(options_["activation"]);
    const Eigen::VectorXd start = weights_.at("singular_vectors").row(0);
    std::int64_t at = 0;
    for (std::int64_t k = 0; k < blocks_; ++k)
      for (const auto& [name, lipschitz] : perceptrons) {
        const std::string prefix = "blocks." + std::to_string(k) + name + ".";
        const std::int64_t depth = options_["depth"];
        for (std::int64_t j = 0; j <= depth; ++j) {
          Eigen::MatrixXd& weight = weights_.at(prefix + std::to_string(j) + ".weight");
          double target = std::pow(lipschitz, 1.0 / static_cast<double>(depth + 1));
          if (j < depth) target /= lipschitz_constant(activation);
          const double norm = largest_singular_value(weight, start.segment(at, weight.cols()));
          weight *= norm > target ? target / norm : 1.0;
          at += weight.cols();
        }
      }
  }

  static double largest_singular_value(const Eigen::MatrixXd& weight, Eigen::VectorXd v) {
    Eigen::VectorXd u = Eigen::VectorXd::Zero(weight.rows());
    double sigma = 0;
    for (int k = 0;; ++k) {
      const Eigen::VectorXd product = weight * v;
      const double norm = product.norm(), residual = (product - sigma * u).norm();
      if (norm < 1e-25) return 0;
      if (k > 0 && residual <= 1e-3 * norm) return norm + residual;
      u = product / norm;
      v = weight.transpose() * u;
      sigma = v.norm();
      v /= sigma;
    }
  }

  Number kink(const Number& z, double where) {
    nearest_kink = std::min(nearest_kink, std::abs(z.value() - where));
    return z;
  }
  static Number sigmoid(const Number& z) { return Number(1.0) / (Number(1.0) + exp(-z)); }
  Number activate(const Number& z) {
    const std::string name = options_["activation"];
    if (name == "relu") return kink(z, 0).value() > 0 ? z : Number(0.0);
    if (name == "silu") return z * sigmoid(z);
    throw InputError("the reference has no activation " + name);
  }
  Number boxed(const Number& x, double box) {
    kink(x, box), kink(x, -box);
    return x.value() > box ? Number(box) : x.value() < -box ? Number(-box) : x;
  }

  Numbers perceptron(const std::string& name, Numbers x, double t) {
    x.push_back(Number(t));
    const std::int64_t depth = options_["depth"];
    for (std::int64_t j = 0; j <= depth; ++j) {
      const std::string layer = name + "." + std::to_string(j);
      const Eigen::MatrixXd &weight = weights_.at(layer + ".weight"), &bias = weights_.at(layer + ".bias");
      Numbers y;
      for (std::int64_t i = 0; i < weight.rows(); ++i) {
        Number z(bias(0, i));
        for (std::int64_t c = 0; c < weight.cols(); ++c) z += weight(i, c) * x[static_cast<std::size_t>(c)];
        y.push_back(j < depth ? activate(z) : z);
      }
      x = std::move(y);
    }
    return x;
  }

  double phi(const std::string& name, std::int64_t column, double t) const {
    return std::tanh(weights_.at(name)(0, column) * t);
  }

  Numbers block(std::int64_t k, double t, const Numbers& x) {
    const std::string name = "blocks." + std::to_string(k);
    if (family_ == "resnet") {
      Numbers y = perceptron(name + ".g", x, t);
      for (int i = 0; i < 2; ++i) y[i] = x[i] + phi(name + ".phi", i, t) * y[i];
      return y;
    }
    if (family_ == "gru") {
      const double box = options_["box"], alpha = options_["alpha"];
      const Numbers seen = {boxed(x[0], box), boxed(x[1], box)};
      const Numbers r = perceptron(name + ".r", seen, t), z = perceptron(name + ".z", seen, t);
      const Numbers u = perceptron(name + ".u", {0.8 * sigmoid(r[0]) * seen[0], 0.8 * sigmoid(r[1]) * seen[1]}, t);
      Numbers y(2);
      for (int i = 0; i < 2; ++i)
        y[i] = x[i] + phi(name + ".phi", i, t) * alpha * sigmoid(z[i]) * (box * tanh(u[i]) - seen[i]);
      return y;
    }
    Numbers y = x;
    const auto moved = static_cast<std::size_t>(k % 2);
    const Numbers raw = perceptron(name + ".conditioner", {x[1 - moved]}, t);
    if (options_["transform"] == "spline") {
      y[moved] = spline(raw, phi(name + ".phi", 0, t), x[moved]);
    } else {
      const double bound = options_["log_scale_bound"];
      const Number scale = bound * tanh(raw[0] * (phi(name + ".phi_s", 0, t) / bound));
      y[moved] = x[moved] * exp(scale) + raw[1] * phi(name + ".phi_m", 0, t);
    }
    return y;
  }

  /// Durkan et al. 2019, equation 4.
  Number spline(const Numbers& raw, double phi, const Number& x) const {
    const double box = options_["box"], bound = options_["log_scale_bound"];
    if (!(std::abs(x.value()) < box) || phi == 0) return x;
    const std::size_t bins = options_["bins"];
    const auto sizes = [&](std::size_t first) {
      Numbers parts;
      Number sum(0.0);
      for (std::size_t k = 0; k < bins; ++k) parts.push_back(exp(phi * raw[first + k])), sum += parts.back();
      for (Number& part : parts) part = 2 * box * (0.5 / static_cast<double>(bins) + 0.5 * (part / sum));
      return parts;
    };
    const auto slope = [&](std::size_t knot) {
      if (knot == 0 || knot == bins) return Number(1.0);
      return Number(exp(bound * tanh(raw[2 * bins + knot - 1] * (phi / bound))));
    };
    const Numbers widths = sizes(0), heights = sizes(bins);
    Number left(-box), low(-box);
    std::size_t k = 0;
    for (; k + 1 < bins && x.value() >= left.value() + widths[k].value(); ++k) left += widths[k], low += heights[k];
    const Number xi = (x - left) / widths[k], s = heights[k] / widths[k], u = xi * (1.0 - xi);
    const Number before = slope(k), after = slope(k + 1);
    return low + heights[k] * (s * xi * xi + before * u) / (s + (after + before - 2.0 * s) * u);
  }

  nlohmann::json options_;
  std::string family_;
  std::int64_t blocks_;
  std::map<std::string, Eigen::MatrixXd> weights_;
};

}  // namespace otnfm::test
