// What the families promise beyond F(0, x) = x: inverses and log-determinants in closed form, residuals that contract,
// gradients through a whole flow.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <span>

#include "engine/core/ops.h"
#include "layers/flow.h"
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
  for (const std::int64_t d : {2, 3, 5, 33})
    for (const char* mask : {"alternating", "random"})
      list.push_back(
          {{"family", "coupling"}, {"dimension", d}, {"blocks", 4}, {"width", 17}, {"mask", mask}, {"mask_seed", 5}});
  return list;
}

std::vector<nlohmann::json> contractions() {
  std::vector<nlohmann::json> list;
  for (const char* activation : {"silu", "gelu", "tanh", "relu", "softplus", "sigmoid"})
    list.push_back({{"family", "resnet"},
                    {"dimension", 3},
                    {"blocks", 5},
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
      const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, 0.5f);
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

TEST(Families, LogDeterminantsAgreeWithTheJacobian) {
  std::mt19937 random(std::random_device{}());
  for (const Device device : devices()) {
    Stream stream(device);
    for (const nlohmann::json& configuration : closed_forms()) {
      const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, 0.4f);
      const std::int64_t d = flow->dimension(), B = 3;
      if (d > 5) continue;
      const Numbers x = random_points(B * d, random, 1.5f);
      // Row 2 (b d + j) + side is x_b with x_bj moved by h. A float's step is large: fourth-order differences, and a
      // tolerance of what they leave.
      const float h = 1.0f / 32;
      const float steps[] = {-2 * h, -h, h, 2 * h};
      Numbers moved;
      for (std::int64_t b = 0; b < B; ++b)
        for (std::int64_t j = 0; j < d; ++j)
          for (const float step : steps) {
            moved.insert(moved.end(), x.begin() + b * d, x.begin() + (b + 1) * d);
            moved[moved.size() - d + j] += step;
          }
      const auto body = [&](Tape& tape, Tensor t, Tensor points) {
        const BlockWithLogDet block = flow->forward_block_with_log_det(tape, 1, t, points);
        return std::vector<Tensor>{block.y, block.log_det, flow->forward_block(tape, 1, t, points)};
      };
      const std::vector<Numbers> at = run(stream, d, 0.7f, x, body), around = run(stream, d, 0.7f, moved, body);
      EXPECT_EQ(at[0], at[2]);
      for (std::int64_t b = 0; b < B; ++b) {
        std::vector<double> jacobian(d * d);
        for (std::int64_t j = 0; j < d; ++j) {
          const float* y = around[0].data() + 4 * (b * d + j) * d;
          const auto step_of = [&](int k) {
            return static_cast<double>(moved[(4 * (b * d + j) + k) * d + j]) - x[b * d + j];
          };
          for (std::int64_t i = 0; i < d; ++i)
            jacobian[i * d + j] =
                (8.0 * (static_cast<double>(y[2 * d + i]) - y[d + i]) - (static_cast<double>(y[3 * d + i]) - y[i])) /
                (6 * (step_of(2) - step_of(1)));
        }
        const double want = std::log(std::abs(determinant(jacobian, d)));
        EXPECT_TRUE(std::abs(at[1][b] - want) <= 2e-3) << configuration << ": " << at[1][b] << " " << want;
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
        const std::int64_t d = flow->dimension(), B = 257;
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

TEST(Families, GradientsThroughAFlowAgreeWithFiniteDifferences) {
  std::mt19937 random(std::random_device{}());
  for (const Device device : devices()) {
    Stream stream(device);
    std::vector<nlohmann::json> configurations = {closed_forms()[2], contractions().front(), contractions().end()[-2]};
    for (nlohmann::json& configuration : configurations) {
      const std::unique_ptr<Flow> flow = random_flow(configuration, device, random, 0.6f, /*training=*/true);
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
      const auto loss_at = [&] {
        // The singular vectors, which a step moves on by one iteration, settle.
        for (int k = 0; k < 200; ++k) tape.run(stream);
        return static_cast<double>(download(stream, tape.view(loss))[0]);
      };
      loss_at();
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
        sides[side] = loss_at();
      }
      EXPECT_TRUE(std::abs((sides[1] - sides[0]) / 2e-3 - length) <= 2e-2 * length)
          << configuration << ": " << (sides[1] - sides[0]) / 2e-3 << " " << length;
    }
  }
}

}  // namespace
}  // namespace otnfm
