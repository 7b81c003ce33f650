// What the families promise beyond F(0, x) = x: inverses and log-determinants in closed form, residuals that contract,
// gradients through a whole flow.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <span>

#include "engine/core/ops.h"
#include "kernels/power_iteration.h"
#include "layers/flows/flow.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

using Numbers = std::vector<float>;

std::vector<Device> devices() {
  std::vector<Device> list = {Device::cpu};
  if (cuda_available()) list.push_back(Device::cuda);
  return list;
}

struct Held {
  Memory memory;
  View<float> view;
  Held(Stream& stream, const Numbers& values, std::int64_t columns)
      : memory(stream.device(), values.size() * sizeof(float), "a test"),
        view(reinterpret_cast<float*>(memory.data()), {static_cast<std::int64_t>(values.size()) / columns, columns}) {
    copy_bytes(stream, memory.data(), values.data(), memory.bytes());
    stream.synchronize();
  }
};

Numbers download(Stream& stream, const View<float>& view) {
  Numbers values(view.size());
  copy_bytes(stream, values.data(), view.data, values.size() * sizeof(float));
  stream.synchronize();
  return values;
}

std::unique_ptr<Flow> random_flow(const nlohmann::json& configuration, Device device, std::mt19937& random,
                                  float spread, bool training = false) {
  std::unique_ptr<Flow> flow = make_flow(configuration);
  flow->parameters().allocate(device, random(), training);
  Stream stream(device);
  std::normal_distribution<float> normal(0, spread);
  Numbers values(flow->parameters().values().size());
  for (float& value : values) value = normal(random);
  copy_bytes(stream, flow->parameters().values().data, values.data(), values.size() * sizeof(float));
  stream.synchronize();
  return flow;
}

Numbers random_points(std::int64_t n, std::mt19937& random, float spread) {
  std::normal_distribution<float> normal(0, spread);
  Numbers values(n);
  for (float& value : values) value = normal(random);
  return values;
}

/// Runs what `body` records and returns the tensors that it returns.
template <class Body>
std::vector<Numbers> run(Stream& stream, std::int64_t d, float t, const Numbers& x, const Body& body) {
  const Held points(stream, x, d), times(stream, Numbers(x.size() / d, t), 1);
  Tape tape(stream.device(), {.training = false});
  const std::vector<Tensor> results = body(tape, tape.external(times.view), tape.external(points.view));
  for (const Tensor& result : results) tape.keep(result);
  tape.plan();
  tape.run(stream);
  std::vector<Numbers> values;
  values.reserve(results.size());
  for (const Tensor& result : results) values.push_back(download(stream, tape.view(result)));
  return values;
}

double norm(std::span<const float> x) {
  double square = 0;
  for (const float v : x) square += static_cast<double>(v) * v;
  return std::sqrt(square);
}

std::vector<nlohmann::json> closed_forms() {
  std::vector<nlohmann::json> list;
  for (const std::int64_t d : {2, 3, 5, 17})
    for (const char* mask : {"alternating", "random"})
      for (const char* transform : {"affine", "spline"})
        list.push_back({{"family", "coupling"},
                        {"dimension", d},
                        {"blocks", 4},
                        {"width", 17},
                        {"mask", mask},
                        {"mask_seed", 5},
                        {"transform", transform},
                        {"bins", 9}});
  return list;
}

std::vector<nlohmann::json> contractions() {
  std::vector<nlohmann::json> list;
  for (const char* activation : {"silu", "gelu", "tanh", "relu", "softplus", "sigmoid"})
    list.push_back({{"family", "resnet"},
                    {"dimension", 3},
                    {"blocks", 2},
                    {"width", 19},
                    {"depth", 2},
                    {"activation", activation},
                    {"invertible", true}});
  for (const char* activation : {"silu", "relu"})
    list.push_back({{"family", "gru"}, {"dimension", 3}, {"blocks", 2}, {"width", 19}, {"activation", activation}});
  return list;
}

TEST(Families, InvertInClosedForm) {
  std::mt19937 random(std::random_device{}());
  for (const Device device : devices()) {
    Stream stream(device);
    for (const nlohmann::json& configuration : closed_forms()) {
      // Weights of a trained model's size: where a slope is 1/100, the rounding of y alone costs 1e-5 of x.
      const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, 0.2f);
      ASSERT_EQ(flow->inversion(), Inversion::closed_form);
      const Numbers x = random_points(33 * flow->dimension(), random, 3.0f);
      for (const float t : {0.0f, 0.1f, 0.5f, 1.0f})
        for (std::int64_t k = 0; k < flow->block_count(); ++k) {
          const Numbers back = run(stream, flow->dimension(), t, x, [&](Tape& tape, Tensor time, Tensor points) {
            const Tensor y = flow->forward_block(tape, k, time, points);
            return std::vector<Tensor>{flow->inverse_block(tape, k, time, y)};
          })[0];
          Numbers error(x.size());
          for (std::size_t i = 0; i < x.size(); ++i) error[i] = back[i] - x[i];
          EXPECT_TRUE(norm(error) <= 1e-5 * norm(x)) << configuration << " t " << t << ": " << norm(error) / norm(x);
          if (t == 0) {
            EXPECT_EQ(back, x);
          }
        }
    }
  }
}

double determinant(std::vector<double> a, std::int64_t d) {
  double result = 1;
  for (std::int64_t k = 0; k < d; ++k) {
    std::int64_t pivot = k;
    for (std::int64_t i = k; i < d; ++i)
      if (std::abs(a[i * d + k]) > std::abs(a[pivot * d + k])) pivot = i;
    for (std::int64_t j = 0; j < d; ++j) std::swap(a[k * d + j], a[pivot * d + j]);
    result *= pivot == k ? a[k * d + k] : -a[k * d + k];
    for (std::int64_t i = k + 1; i < d; ++i)
      for (std::int64_t j = d - 1; j >= k; --j) a[i * d + j] -= a[i * d + k] / a[k * d + k] * a[k * d + j];
  }
  return result;
}

/// Block k of a coupling flow with alternating masks and the defaults' tanh and silu, in double, from the formulas.
class ReferenceBlock {
 public:
  ReferenceBlock(Stream& stream, const Flow& flow, std::int64_t k, double t)
      : configuration_(flow.configuration()), d_(flow.dimension()), k_(k), t_(t) {
    const Parameters& parameters = flow.parameters();
    for (int p = 0; p < parameters.count(); ++p) {
      const Numbers values = download(stream, parameters.value({p}));
      weights_[parameters.name(p)].assign(values.begin(), values.end());
    }
  }

  std::vector<double> operator()(const std::vector<double>& x) const {
    std::vector<double> seen, y = x;
    for (std::int64_t j = 0; j < d_; ++j)
      if (j % 2 != k_ % 2) seen.push_back(x[j]);
    seen.push_back(t_);
    const std::vector<double> raw = conditioner(seen);
    const bool spline = configuration_["transform"] == "spline";
    const std::int64_t bins = configuration_["bins"], weights = spline ? 3 * bins - 1 : 1;
    std::int64_t n = 0;
    for (std::int64_t j = k_ % 2; j < d_; j += 2) ++n;
    for (std::int64_t m = 0; m < n; ++m) {
      double& moved = y[2 * m + k_ % 2];
      if (spline) {
        moved = spline_of(&raw[m * weights], phi(".phi", m), bins, moved);
      } else {
        const double bound = configuration_["log_scale_bound"];
        moved = moved * std::exp(bound * std::tanh(raw[m] * phi(".phi_s", m) / bound)) + raw[n + m] * phi(".phi_m", m);
      }
    }
    return y;
  }

 private:
  const std::vector<double>& weight(const std::string& name) const {
    return weights_.at("blocks." + std::to_string(k_) + name);
  }
  double phi(const char* which, std::int64_t m) const { return std::tanh(weight(which)[m] * t_); }

  std::vector<double> conditioner(std::vector<double> h) const {
    const std::int64_t layers = configuration_["depth"].get<std::int64_t>() + 1;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const std::string name = ".conditioner." + std::to_string(layer);
      const std::vector<double>&W = weight(name + ".weight"), &bias = weight(name + ".bias");
      std::vector<double> next = bias;
      for (std::size_t o = 0; o < bias.size(); ++o) {
        for (std::size_t j = 0; j < h.size(); ++j) next[o] += W[o * h.size() + j] * h[j];
        if (layer + 1 < layers) next[o] /= 1 + std::exp(-next[o]);
      }
      h = next;
    }
    return h;
  }

  double spline_of(const double* raw, double phi, std::int64_t bins, double x) const {
    const double box = configuration_["box"], bound = configuration_["log_scale_bound"];
    if (!(std::abs(x) < box)) return x;
    const auto knots = [&](const double* sizes) {
      double sum = 0;
      for (std::int64_t k = 0; k < bins; ++k) sum += std::exp(phi * sizes[k]);
      std::vector<double> at(1, -box);
      at.reserve(bins + 1);
      for (std::int64_t k = 0; k < bins; ++k)
        at.push_back(at.back() + 2 * box * (0.5 / static_cast<double>(bins) + 0.5 * std::exp(phi * sizes[k]) / sum));
      return at;
    };
    const std::vector<double> xs = knots(raw), ys = knots(raw + bins);
    std::int64_t k = 0;
    while (k + 1 < bins && x >= xs[k + 1]) ++k;
    const auto slope = [&](std::int64_t knot) {
      if (knot == 0 || knot == bins) return 1.0;
      return std::exp(bound * std::tanh(phi * raw[2 * bins + knot - 1] / bound));
    };
    const double width = xs[k + 1] - xs[k], height = ys[k + 1] - ys[k], s = height / width, xi = (x - xs[k]) / width;
    return ys[k] +
           height * (s * xi * xi + slope(k) * xi * (1 - xi)) / (s + (slope(k + 1) + slope(k) - 2 * s) * xi * (1 - xi));
  }

  nlohmann::json configuration_;
  std::int64_t d_, k_;
  double t_;
  std::map<std::string, std::vector<double>> weights_;
};

TEST(Families, LogDeterminantsAgreeWithTheJacobian) {
  std::mt19937 random(std::random_device{}());
  for (const Device device : devices()) {
    Stream stream(device);
    for (const nlohmann::json& configuration : closed_forms()) {
      if (configuration["mask"] != "alternating") continue;
      const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, 0.3f);
      const std::int64_t d = flow->dimension(), B = 5;
      const Numbers x = random_points(B * d, random, 2.0f);
      const float t = 0.75f;
      for (const std::int64_t k : {0, 1}) {
        const std::vector<Numbers> at = run(stream, d, t, x, [&](Tape& tape, Tensor time, Tensor points) {
          const BlockWithLogDet block = flow->forward_block_with_log_det(tape, k, time, points);
          const BlockWithLogDet back = flow->inverse_block_with_log_det(tape, k, time, block.y);
          return std::vector<Tensor>{block.y, block.log_det, flow->forward_block(tape, k, time, points),
                                     back.y,  back.log_det,  flow->inverse_block(tape, k, time, block.y)};
        });
        EXPECT_EQ(at[0], at[2]);
        EXPECT_EQ(at[3], at[5]);
        const ReferenceBlock reference(stream, *flow, k, t);
        for (std::int64_t b = 0; b < B; ++b) {
          const std::vector<double> point(x.begin() + b * d, x.begin() + (b + 1) * d), y = reference(point);
          std::vector<double> jacobian(d * d);
          for (std::int64_t j = 0; j < d; ++j) {
            std::vector<double> above = point, below = point;
            above[j] += 1e-6;
            below[j] -= 1e-6;
            const std::vector<double> high = reference(above), low = reference(below);
            for (std::int64_t i = 0; i < d; ++i) jacobian[i * d + j] = (high[i] - low[i]) / 2e-6;
          }
          for (std::int64_t i = 0; i < d; ++i)
            EXPECT_TRUE(std::abs(at[0][b * d + i] - y[i]) <= 1e-4) << configuration << ": " << at[0][b * d + i];
          const double want = std::log(std::abs(determinant(jacobian, d)));
          EXPECT_TRUE(std::abs(at[1][b] - want) <= 1e-4 * std::max(1.0, std::abs(want)))
              << configuration << ": " << at[1][b] << " " << want;
          EXPECT_TRUE(std::abs(at[4][b] + want) <= 1e-4 * std::max(1.0, std::abs(want)))
              << configuration << ": the inverse's " << at[4][b] << " " << -want;
        }
      }
    }
  }
}

TEST(Families, ResidualsContract) {
  std::mt19937 random(std::random_device{}());
  for (const Device device : devices()) {
    Stream stream(device);
    for (const nlohmann::json& configuration : contractions())
      for (const float spread : {0.3f, 3.0f}) {
        const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, spread);
        ASSERT_EQ(flow->inversion(), Inversion::fixed_point);
        const std::int64_t d = flow->dimension(), B = 131;
        // Pairs far apart and close together.
        Numbers x = random_points(2 * B * d, random, 4.0f);
        for (std::int64_t i = 0; i < B * d; i += 2) x[B * d + i] = x[i] + 0.01f * x[B * d + i];
        for (std::int64_t k = 0; k < flow->block_count(); ++k) {
          const Numbers y = run(stream, d, 1.0f, x, [&](Tape& tape, Tensor t, Tensor points) {
            return std::vector<Tensor>{flow->forward_block(tape, k, t, points)};
          })[0];
          double worst = 0;
          for (std::int64_t b = 0; b < B; ++b) {
            Numbers apart(d), residual(d);
            for (std::int64_t j = 0; j < d; ++j) {
              const std::int64_t one = b * d + j, other = (B + b) * d + j;
              apart[j] = x[one] - x[other];
              residual[j] = (y[one] - x[one]) - (y[other] - x[other]);
            }
            worst = std::max(worst, norm(residual) / norm(apart));
          }
          EXPECT_TRUE(worst < 1) << configuration << " block " << k << ": " << worst;
        }
      }
  }
}

TEST(Families, FixedWeightsMakeTheSameMap) {
  std::mt19937 random(std::random_device{}());
  for (const Device device : devices()) {
    Stream stream(device);
    for (const nlohmann::json& configuration : contractions()) {
      const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, 0.5f, /*training=*/true);
      const Numbers x = random_points(33 * flow->dimension(), random, 2.0f);
      bool iterates = false;
      const auto map = [&] {
        return run(stream, flow->dimension(), 0.75f, x, [&](Tape& tape, Tensor t, Tensor points) {
          const Tensor y = flow->forward(tape, t, points), block = flow->forward_block(tape, 1, t, points);
          iterates = tape.calls(PowerIteration::kName);
          return std::vector<Tensor>{y, block};
        });
      };
      const std::vector<Numbers> before = map();
      EXPECT_TRUE(iterates);
      flow->fix_weights();
      EXPECT_EQ(map(), before) << configuration;
      EXPECT_FALSE(iterates);
      // A step that learns has the iteration in it all the same.
      Tape step(device);
      const Held points(stream, x, flow->dimension()), times(stream, Numbers(33, 0.5f), 1);
      flow->forward(step, step.external(times.view), step.external(points.view));
      EXPECT_TRUE(step.calls(PowerIteration::kName));
    }
  }
}

TEST(Families, GradientsThroughAFlowAgreeWithFiniteDifferences) {
  std::mt19937 random(std::random_device{}());
  for (const Device device : devices()) {
    Stream stream(device);
    std::vector<nlohmann::json> configurations = {closed_forms()[4], closed_forms()[5], contractions().front(),
                                                  contractions().end()[-2]};
    for (nlohmann::json& configuration : configurations) {
      const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, 0.3f, /*training=*/true);
      const std::int64_t d = flow->dimension(), B = 33;
      const Held x(stream, random_points(B * d, random, 1.0f), d),
          target(stream, random_points(B * d, random, 1.0f), d);
      Numbers times(B);
      for (float& t : times) t = std::uniform_real_distribution<float>(0, 1)(random);
      const Held t(stream, times, 1);
      Tape tape(device);
      const Tensor y = flow->forward(tape, tape.external(t.view), tape.external(x.view));
      const Tensor loss = squared_error(tape, y, tape.external(target.view));
      tape.keep(loss);
      tape.backward(loss);
      tape.plan();
      // The singular vectors, which a step moves on by one iteration, settle; after a small move they have little to
      // do.
      const auto loss_at = [&](int runs) {
        for (int k = 0; k < runs; ++k) tape.run(stream);
        return static_cast<double>(download(stream, tape.view(loss))[0]);
      };
      loss_at(60);
      const View<float> values = flow->parameters().values();
      const Numbers start = download(stream, values), gradient = download(stream, flow->parameters().gradients());
      // Along the gradient, where the differences are largest: the loss is a float.
      const double length = norm(gradient);
      double sides[2];
      for (const int side : {0, 1}) {
        Numbers moved = start;
        for (std::size_t i = 0; i < moved.size(); ++i)
          moved[i] += static_cast<float>((side == 0 ? -1e-3 : 1e-3) * gradient[i] / length);
        copy_bytes(stream, values.data, moved.data(), moved.size() * sizeof(float));
        stream.synchronize();
        sides[side] = loss_at(8);
      }
      EXPECT_TRUE(std::abs((sides[1] - sides[0]) / 2e-3 - length) <= 2e-2 * length)
          << configuration << ": " << (sides[1] - sides[0]) / 2e-3 << " " << length;
    }
  }
}

}  // namespace
}  // namespace otnfm
