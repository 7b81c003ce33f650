// The log-likelihood against a grid integral in the plane: exp of it integrates to 1, and its mean over the model's own
// samples is that of the grid.
#include "engine/generate/log_likelihood.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>

#include "layers/maps/flow_map.h"

namespace otnfm {
namespace {

/// A model with random weights, small enough for a density that a grid resolves.
Model random_model(const nlohmann::json& flow, Source source, std::uint64_t seed) {
  Model model{make_flow(flow), std::move(source), {}};
  model.flow->parameters().allocate(Device::cpu, seed, /*training=*/false);
  std::mt19937_64 random(seed);
  // Small enough that the map stretches next to nothing out of the grid, and nowhere squeezes it below a cell.
  std::normal_distribution<float> normal(0.0f, 0.1f);
  const View<float> values = model.flow->parameters().values();
  for (std::int64_t k = 0; k < values.size(); ++k) values.data[k] += normal(random);
  return model;
}

Source fitted(std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<float> rows(512 * 2);
  for (std::size_t i = 0; i < rows.size(); i += 2) {
    rows[i] = 0.6f * normal(random) + 0.3f;
    rows[i + 1] = 0.5f * rows[i] + 0.8f * normal(random);
  }
  return Source::gaussian_fit(fit_gaussian({rows.data(), {512, 2}}));
}

struct Grid {
  static constexpr std::int64_t kSide = 400;
  static constexpr double kHalf = 12, kCell = 2 * kHalf / kSide;
  std::vector<float> values = std::vector<float>(kSide * kSide * 2);

  Grid() {
    for (std::int64_t r = 0; r < kSide; ++r)
      for (std::int64_t c = 0; c < kSide; ++c) {
        float* at = values.data() + 2 * (r * kSide + c);
        at[0] = static_cast<float>(-kHalf + (static_cast<double>(c) + 0.5) * kCell);
        at[1] = static_cast<float>(-kHalf + (static_cast<double>(r) + 0.5) * kCell);
      }
  }
  View<float> view() { return {values.data(), {kSide * kSide, 2}}; }
};

TEST(LogLikelihood, AgreesWithAGridIntegral) {
  std::mt19937_64 random(std::random_device{}());
  Grid grid;
  for (const nlohmann::json& flow :
       {nlohmann::json{{"family", "coupling"}, {"dimension", 2}, {"blocks", 3}, {"width", 8}, {"depth", 1}},
        nlohmann::json{{"family", "resnet"},
                       {"dimension", 2},
                       {"blocks", 2},
                       {"width", 8},
                       {"depth", 1},
                       {"invertible", true},
                       {"coefficient", 0.7},
                       {"time_function", "identity"}}})
    for (const bool standard : {true, false}) {
      const Model model = random_model(flow, standard ? Source::gaussian(2) : fitted(random), random());
      LogLikelihood log_likelihood(model, Device::cpu);
      const GaussianDensity source(model.source);

      // On the data's side: sum p = 1, and the mean of log p under p.
      const std::vector<double> on_grid = log_likelihood(grid.view()).values;
      constexpr double kArea = Grid::kCell * Grid::kCell;
      double mass = 0, mean = 0;
      for (const double value : on_grid) {
        mass += kArea * std::exp(value);
        mean += kArea * std::exp(value) * value;
      }
      EXPECT_TRUE(std::abs(mass - 1) <= 1e-3) << flow << " " << mass;

      // On the source's side: the mean of log p(F(1, x0)) under the source. Both are the entropy of the model.
      std::vector<float> images(grid.values.size());
      const std::vector<float> ones(Grid::kSide * Grid::kSide, 1.0f);
      const View<float> y(images.data(), {Grid::kSide * Grid::kSide, 2});
      FlowMap(*model.flow, Device::cpu)({ones.data(), {Grid::kSide * Grid::kSide, 1}}, grid.view(), y);
      const std::vector<double> weights = source.log_density(grid.view()), values = log_likelihood(y).values;
      double of_samples = 0;
      for (std::size_t i = 0; i < values.size(); ++i) of_samples += kArea * std::exp(weights[i]) * values[i];
      EXPECT_TRUE(std::abs(mean - of_samples) <= 1e-3) << flow << " " << mean << " " << of_samples;
    }
}

TEST(LogLikelihood, IsTheSourcesOwnOfTheIdentity) {
  // Weights as they start: the last layer of every residual block is zero.
  Model model{make_flow({{"family", "resnet"}, {"dimension", 3}, {"invertible", true}}), Source::gaussian(3), {}};
  model.flow->parameters().allocate(Device::cpu, 5, /*training=*/false);
  std::vector<float> y = {0, 0, 0, 1, -2, 0.5f};
  const LogLikelihoods found = LogLikelihood(model, Device::cpu)({y.data(), {2, 3}});
  const double at_zero = -1.5 * std::log(2 * std::numbers::pi);
  EXPECT_NEAR(found.values[0], at_zero, 1e-5);
  EXPECT_NEAR(found.values[1], at_zero - 0.5 * (1 + 4 + 0.25), 1e-5);
  EXPECT_NEAR(found.mean, (found.values[0] + found.values[1]) / 2, 1e-12);
  EXPECT_NEAR(found.standard_error, std::abs(found.values[0] - found.values[1]) / 2, 1e-12);
  EXPECT_EQ(found.estimator_error, 0);
}

TEST(LogLikelihood, CountsBits) {
  // Uniform on 256 values: density 1/256 a pixel value, so 127.5/256 a unit of y; 8 bits a number.
  const double uniform = 784 * std::log(127.5 / 256);
  EXPECT_NEAR(bits_per_dimension(uniform, 784), 8, 1e-12);
  std::vector<float> y(3 * 5, 0.2f), again = y, other = y;
  dequantise({y.data(), {3, 5}}, 1);
  dequantise({again.data(), {3, 5}}, 1);
  dequantise({other.data(), {3, 5}}, 2);
  EXPECT_EQ(y, again);
  EXPECT_NE(y, other);
  for (const float value : y) EXPECT_TRUE(std::abs(value - 0.2f) <= 0.5f / 127.5f + 1e-7f && value != 0.2f);
}

TEST(LogLikelihood, RefusesWhatHasNone) {
  const auto message = [](const nlohmann::json& flow, Source source) -> std::string {
    const Model model = random_model(flow, std::move(source), 1);
    try {
      LogLikelihood refused(model, Device::cpu);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  const nlohmann::json free_flow = {{"family", "resnet"}, {"dimension", 2}},
                       coupling = {{"family", "coupling"}, {"dimension", 2}};
  EXPECT_NE(message(free_flow, Source::gaussian(2)).find("coupling"), std::string::npos)
      << message(free_flow, Source::gaussian(2));
  const std::string no_density = message(coupling, Source::dataset(open_dataset("8gaussians")));
  EXPECT_NE(no_density.find("8gaussians"), std::string::npos) << no_density;
  const std::string singular =
      message(coupling, Source::gaussian_fit({.mean = {0, 0}, .factor = {1, 1}, .diagonal = {}}));
  EXPECT_NE(singular.find("rank 1 of 2"), std::string::npos) << singular;
  EXPECT_EQ(message(coupling, Source::gaussian(2)), "accepted");
}

}  // namespace
}  // namespace otnfm
