// Flows of the tests' own, small enough to be written down a second time in double: a chain of contractions and an
// additive coupling.
#pragma once

// g++ 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include <Eigen/Dense>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "kernels/memory.h"
#include "layers/flows/flow.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm::test {

inline std::vector<Device> devices() {
  std::vector<Device> list = {Device::cpu};
  if (cuda_available()) list.push_back(Device::cuda);
  return list;
}

/// x <- x + t W2 tanh(W1 [x, t] + b1), block by block; the spectral norms of W1 and W2 multiply to `coefficient`. Of
/// random matrices the product is far smaller; `aligned` ones (width d, W2 = -W1^T) reach it near x = 0.
class ContractionFlow : public Flow {
 public:
  ContractionFlow(std::int64_t d, std::int64_t blocks, std::int64_t width, double coefficient, std::uint64_t seed,
                  bool aligned = false)
      : d_(d) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    for (std::int64_t k = 0; k < blocks; ++k) {
      const std::string name = "blocks." + std::to_string(k);
      blocks_.push_back({Linear(parameters_, name + ".0", d + 1, width), Linear(parameters_, name + ".1", width, d),
                         Eigen::MatrixXd(width, d + 1), Eigen::VectorXd(width), Eigen::MatrixXd(d, width)});
      Block& block = blocks_.back();
      for (double& value : block.w1.reshaped()) value = normal(random);
      for (double& value : block.b1) value = 0.3 * normal(random);
      for (double& value : block.w2.reshaped()) value = normal(random);
      if (aligned) {
        const Eigen::MatrixXd rotation = Eigen::HouseholderQR<Eigen::MatrixXd>(block.w2).householderQ();
        block.w1.leftCols(d) = rotation;
        block.w1.rightCols(1).setZero();
        block.b1 *= 0.1;
        block.w2 = -rotation.transpose();
      }
      const auto norm = [](const Eigen::MatrixXd& w) {
        return Eigen::JacobiSVD<Eigen::MatrixXd>(w).singularValues()[0];
      };
      block.w1 *= std::sqrt(coefficient) / norm(block.w1);
      block.w2 *= std::sqrt(coefficient) / norm(block.w2);
    }
  }

  /// Puts the weights on the device.
  void allocate(Device device) {
    parameters_.allocate(device, 0, /*training=*/false);
    Stream stream(device);
    const auto put = [&](int index, const Eigen::MatrixXd& values) {
      const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> rounded = values.cast<float>();
      copy_bytes(stream, parameters_.value({index}).data, rounded.data(),
                 static_cast<std::size_t>(rounded.size()) * sizeof(float));
      stream.synchronize();
    };
    for (std::size_t k = 0; k < blocks_.size(); ++k) {
      put(static_cast<int>(4 * k), blocks_[k].w1);
      put(static_cast<int>(4 * k + 1), blocks_[k].b1);
      put(static_cast<int>(4 * k + 2), blocks_[k].w2);
      put(static_cast<int>(4 * k + 3), Eigen::MatrixXd::Zero(d_, 1));
    }
  }

  std::int64_t block_count() const override { return static_cast<std::int64_t>(blocks_.size()); }
  std::int64_t dimension() const override { return d_; }
  Inversion inversion() const override { return Inversion::fixed_point; }
  nlohmann::json configuration() const override { return {{"family", "test contraction"}, {"dimension", d_}}; }

  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override {
    const Block& block = blocks_[static_cast<std::size_t>(k)];
    const Tensor hidden = block.first(scope(tape), concat(tape, x, t), Activation::tanh);
    return residual(tape, x, TimeFunctionKind::identity, t, Tensor(), block.second(scope(tape), hidden));
  }

  /// The same in double, from the weights as they were rounded to float.
  Eigen::VectorXd block_in_double(std::size_t k, double t, const Eigen::VectorXd& x) const {
    const auto rounded = [](const Eigen::MatrixXd& w) -> Eigen::MatrixXd { return w.cast<float>().cast<double>(); };
    const Block& block = blocks_[k];
    Eigen::VectorXd in(d_ + 1);
    in << x, t;
    const Eigen::VectorXd hidden = (rounded(block.w1) * in + rounded(block.b1)).array().tanh().matrix();
    return x + t * (rounded(block.w2) * hidden);
  }
  Eigen::VectorXd in_double(double t, Eigen::VectorXd x) const {
    for (std::size_t k = 0; k < blocks_.size(); ++k) x = block_in_double(k, t, x);
    return x;
  }

 private:
  struct Block {
    Linear first, second;
    Eigen::MatrixXd w1;
    Eigen::VectorXd b1;
    Eigen::MatrixXd w2;
  };
  std::int64_t d_;
  std::vector<Block> blocks_;
};

/// Additive coupling: the second half of x moves by phi(t) times a perceptron of the first half, then the first by one
/// of the second. Its inverse subtracts; its determinant is 1.
class AdditiveCoupling : public Flow {
 public:
  explicit AdditiveCoupling(std::int64_t half, std::int64_t width) : half_(half) {
    for (int k = 0; k < 2; ++k)
      blocks_.push_back(
          {Mlp(parameters_, "blocks." + std::to_string(k), {2 * half, width, 2 * half}, Activation::tanh,
               /*zero_last=*/false),
           TimeFunctionLayer(parameters_, "phi." + std::to_string(k), TimeFunctionKind::tanh, 2 * half, 1)});
  }

  void allocate(Device device, std::uint64_t seed) {
    parameters_.allocate(device, seed, /*training=*/false);
    const std::int64_t d = 2 * half_;
    memory_ = Memory(device, static_cast<std::size_t>(2 * kMostRows * d) * sizeof(float), "masks");
    std::vector<float> masks(static_cast<std::size_t>(2 * kMostRows * d));
    for (std::size_t i = 0; i < masks.size(); ++i) {
      const bool second = static_cast<std::int64_t>(i) % d >= half_;
      masks[i] = (i < masks.size() / 2) == second ? 1.0f : 0.0f;
    }
    Stream stream(device);
    copy_bytes(stream, memory_.data(), masks.data(), masks.size() * sizeof(float));
    stream.synchronize();
  }

  std::int64_t block_count() const override { return 2; }
  std::int64_t dimension() const override { return 2 * half_; }
  Inversion inversion() const override { return Inversion::closed_form; }
  nlohmann::json configuration() const override { return {{"family", "test coupling"}, {"dimension", 2 * half_}}; }

  Tensor forward_block(Tape& tape, std::int64_t k, Tensor t, Tensor x) override { return move(tape, k, t, x, 1); }
  Tensor inverse_block(Tape& tape, std::int64_t k, Tensor t, Tensor y) override { return move(tape, k, t, y, -1); }
  BlockWithLogDet forward_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor x) override {
    return {move(tape, k, t, x, 1), scale(tape, t, 0)};
  }
  BlockWithLogDet inverse_block_with_log_det(Tape& tape, std::int64_t k, Tensor t, Tensor y) override {
    return {move(tape, k, t, y, -1), scale(tape, t, 0)};
  }

 private:
  static constexpr std::int64_t kMostRows = 4096;

  Tensor mask(Tape& tape, std::int64_t which, std::int64_t rows) const {
    float* data = reinterpret_cast<float*>(memory_.data()) + which * kMostRows * 2 * half_;
    return tape.external(View<float>(data, {rows, 2 * half_}));
  }
  Tensor move(Tape& tape, std::int64_t k, Tensor t, Tensor x, float sign) {
    const auto& [g, phi] = blocks_[static_cast<std::size_t>(k)];
    const Tensor still = multiply(tape, x, mask(tape, 1 - k, x.rows()));
    const Tensor moved = multiply(tape, g(scope(tape), still), mask(tape, k, x.rows()));
    return residual(tape, x, TimeFunctionKind::tanh, t, phi.weight(scope(tape)), scale(tape, moved, sign));
  }

  struct Block {
    Mlp g;
    TimeFunctionLayer phi;
  };
  std::int64_t half_;
  std::vector<Block> blocks_;
  Memory memory_;
};

struct Points {
  std::vector<float> values, times;
  std::int64_t n, d;

  Points(std::mt19937_64& random, std::int64_t rows, std::int64_t dimension, double spread = 1)
      : values(static_cast<std::size_t>(rows * dimension)),
        times(static_cast<std::size_t>(rows)),
        n(rows),
        d(dimension) {
    std::normal_distribution<double> normal;
    for (float& value : values) value = static_cast<float>(spread * normal(random));
    std::uniform_real_distribution<float> uniform;
    // Among them the times that matter most.
    for (std::size_t i = 0; i < times.size(); ++i)
      times[i] = i % 5 < 4 ? std::vector<float>{0, 0.1f, 0.5f, 1}[i % 5] : uniform(random);
  }
  View<float> x() { return {values.data(), {n, d}}; }
  View<float> t() { return {times.data(), {n, 1}}; }
};

/// The largest ||a - b|| of a row to the larger of ||b|| and the root mean square of b's rows' norms.
inline double relative_difference(View<const float> a, View<const float> b) {
  double total = 0, worst = 0;
  std::vector<double> size(static_cast<std::size_t>(b.rows())), difference(size.size());
  for (std::int64_t i = 0; i < b.rows(); ++i)
    for (std::int64_t j = 0; j < b.columns(); ++j) {
      const double delta = static_cast<double>(a(i, j)) - static_cast<double>(b(i, j));
      difference[static_cast<std::size_t>(i)] += delta * delta;
      size[static_cast<std::size_t>(i)] += static_cast<double>(b(i, j)) * static_cast<double>(b(i, j));
    }
  for (const double value : size) total += value;
  for (std::size_t i = 0; i < size.size(); ++i) {
    const double ratio = std::sqrt(difference[i] / std::max(size[i], total / static_cast<double>(b.rows())));
    if (!(ratio <= worst)) worst = ratio;
  }
  return worst;
}

}  // namespace otnfm::test
