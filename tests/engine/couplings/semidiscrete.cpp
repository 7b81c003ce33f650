// The semidiscrete coupling: pairs are the biased nearest data, in full or on principal axes, the same after a resume,
// for any noise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/core/table.h"
#include "engine/couplings/coupling.h"
#include "engine/data/random_streams.h"
#include "engine/metrics/collapse.h"
#include "kernels/error.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

struct Recorded {
  Recorded(const Source& source, const Dataset& data, const CouplingOptions& options, const CouplingState& state = {})
      : coupling(find_by_name(couplings(), "semidiscrete", "coupling").make(source, data, options)),
        stream(options.device),
        counter(options.device, sizeof(std::uint64_t), "a step"),
        tape(options.device, {.training = false}) {
    coupling->prepare(state);
    pairs = coupling->record(tape, {reinterpret_cast<std::uint64_t*>(counter.data()), {1}});
    tape.keep(pairs.x0);
    tape.keep(pairs.x1);
    tape.plan();
  }

  /// x0, then x1 of a step.
  std::vector<float> at(std::uint64_t step) {
    copy_bytes(stream, counter.data(), &step, sizeof(step));
    coupling->feed(stream, step);
    tape.run(stream);
    std::vector<float> values(2 * pairs.x0.view().size());
    const std::size_t half = values.size() / 2;
    copy_bytes(stream, values.data(), tape.view(pairs.x0).data, half * sizeof(float));
    copy_bytes(stream, values.data() + half, tape.view(pairs.x1).data, half * sizeof(float));
    stream.synchronize();
    return values;
  }

  std::unique_ptr<Coupling> coupling;
  Stream stream;
  Memory counter;
  Tape tape;
  Pairs pairs;
};

Dataset random_points(std::int64_t n, std::int64_t d, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(1, 2);
  std::vector<float> values(static_cast<std::size_t>(n * d));
  for (std::int64_t j = 0; j < n; ++j)
    for (std::int64_t k = 0; k < d; ++k) values[j * d + k] = normal(random) / static_cast<float>(1 + k);
  return Dataset::points("points", std::move(values), d);
}

TEST(SemidiscreteCoupling, PairsEachNoiseWithItsBiasedNearestDatum) {
  const std::int64_t n = 97, d = 3, B = 64;
  const Dataset data = random_points(n, d, std::random_device{}());
  const Source source = Source::gaussian(d);
  Recorded recorded(source, data, {.batch = B, .seed = 4});
  // Potentials in the order of the data, as they are saved.
  const std::vector<float> g = recorded.coupling->state().floats_of("potentials");
  EXPECT_EQ(recorded.coupling->map(), recorded.coupling->state());
  ASSERT_EQ(g.size(), 97u);
  std::vector<int> hits(n, 0);
  double cost = 0;
  const int steps = 150;
  for (std::uint64_t step = 0; step < steps; ++step) {
    const std::vector<float> values = recorded.at(step);
    std::vector<float> x0(B * d);
    source.draw({.seed = 4, .stream = kSourceStream, .step = step}, {x0.data(), {B, d}});
    for (std::int64_t i = 0; i < B; ++i) {
      double best = std::numeric_limits<double>::infinity(), of_pair = best, distance = 0;
      std::int64_t at = -1;
      for (std::int64_t j = 0; j < n; ++j) {
        double squared = 0;
        bool same = true;
        for (std::int64_t k = 0; k < d; ++k) {
          squared += std::pow(static_cast<double>(x0[i * d + k]) - data.rows_in_place()(j, k), 2);
          same &= values[(B + i) * d + k] == data.rows_in_place()(j, k);
        }
        best = std::min(best, squared - g[j]);
        if (same) at = j, of_pair = squared - g[j], distance = squared;
      }
      for (std::int64_t k = 0; k < d; ++k) ASSERT_EQ(values[i * d + k], x0[i * d + k]);
      ASSERT_GE(at, 0) << "x1 is no datum";
      ASSERT_TRUE(of_pair <= best + 1e-4) << of_pair << " " << best;
      ++hits[at];
      cost += distance / (steps * B);
    }
  }
  // Evenly: the solver stops where the squared relative error of the masses is 0.02 on average (of one mass, far from
  // the others, it may then be large), and of 9,600 draws each of 97 data gets 99 give or take 10, which adds 0.01.
  EXPECT_GE(*std::ranges::min_element(hits), 40);
  double chi_squared = 0;
  for (const int hit : hits) chi_squared += std::pow(static_cast<double>(hit) * n / (steps * B) - 1, 2) / n;
  EXPECT_LE(chi_squared, 0.05);
  EXPECT_NEAR(recorded.coupling->statistics().mean_cost, cost, 0.1 * cost);
}

TEST(SemidiscreteCoupling, IsConsistentForAllNoise) {
  const Dataset data = open_dataset("8gaussians");
  Recorded recorded(open_source(NamedSource("gaussian"), data), data, {.batch = 8, .own = {{"bank", 2048}}, .seed = 1});
  const double ratio = recorded.coupling->statistics().conditional_variance / total_variance(data, 1);
  EXPECT_TRUE(ratio >= 0 && ratio < 0.02) << ratio;
}

TEST(SemidiscreteCoupling, GoesOnFromItsStateBitForBit) {
  const Dataset endless = open_dataset("moons"), finite = random_points(50, 20, 7);
  for (const auto& [data, axes] : {std::pair{endless, 0}, std::pair{finite, 0}, std::pair{finite, 4}}) {
    const Source source = open_source(NamedSource("gaussian"), data);
    const CouplingOptions options{.batch = 31, .own = {{"bank", 200}, {"axes", axes}}, .seed = 9};
    Recorded whole(source, data, options), rest(source, data, options, whole.coupling->state());
    EXPECT_EQ(whole.coupling->state(), rest.coupling->state());
    for (std::uint64_t step : {0, 1, 77}) EXPECT_EQ(whole.at(step), rest.at(step));
  }
}

TEST(SemidiscreteCoupling, OnAxesTheCostIsThatOfTheProjections) {
  // Two axes carry all of the data: then nothing is lost.
  const Dataset flat = random_points(60, 2, std::random_device{}());
  std::vector<float> values(60 * 30, 0.5f);
  for (std::int64_t j = 0; j < 60; ++j)
    for (std::int64_t k = 0; k < 2; ++k) values[j * 30 + 3 + 5 * k] = flat.rows_in_place()(j, k);
  const Dataset data = Dataset::points("plane", values, 30);
  const Source source = Source::gaussian(30);
  Recorded recorded(source, data, {.batch = 200, .own = {{"axes", 2}}, .seed = 2});
  const std::vector<float> g = recorded.coupling->state().floats_of("potentials"), pairs = recorded.at(5);
  int same = 0;
  for (std::int64_t i = 0; i < 200; ++i) {
    double best = std::numeric_limits<double>::infinity();
    std::int64_t at = -1;
    for (std::int64_t j = 0; j < 60; ++j) {
      double value = -static_cast<double>(g[j]);
      for (std::int64_t k = 0; k < 30; ++k)
        value += std::pow(static_cast<double>(pairs[i * 30 + k]) - values[j * 30 + k], 2);
      if (value < best) best = value, at = j;
    }
    same += pairs[(200 + i) * 30 + 3] == values[at * 30 + 3];
  }
  EXPECT_GE(same, 198) << "but for ties up to rounding";
}

TEST(SemidiscreteCoupling, IsTheSameOnCudaAsOnTheCpu) {
  OTNFM_NEEDS_CUDA();
  const Dataset data = open_dataset("checkerboard");
  const Source source = open_source(NamedSource("gaussian"), data);
  CouplingOptions options{.batch = 33, .own = {{"bank", 300}}, .seed = 3};
  Recorded cpu(source, data, options);
  options.device = Device::cuda;
  Recorded cuda(source, data, options, cpu.coupling->state());
  EXPECT_EQ(cpu.at(4), cuda.at(4));
}

TEST(SemidiscreteCoupling, RefusesAStateThatDoesNotFit) {
  const Dataset data = random_points(5, 3, 1);
  const Source source = Source::gaussian(3);
  const CouplingOptions options{.batch = 2};
  const auto prepare = [&](const CouplingOptions& asked, const CouplingState& state) {
    Recorded(source, data, asked, state);
  };
  EXPECT_NO_THROW(prepare(options, {.floats = {{"potentials", {0, 1, 2, 3, 4}}}}));
  EXPECT_THROW(prepare(options, {.floats = {{"potentials", {0, 1, 2, 3}}}}), InputError);
  EXPECT_THROW(prepare(options, {.floats = {{"potential", {0, 1, 2, 3, 4}}}}), InputError);
  EXPECT_THROW(prepare(options, {.floats = {{"potentials", {0, 1, std::nanf(""), 3, 4}}}}), InputError);
  EXPECT_THROW(prepare({.batch = 2, .own = {{"axes", 1}}}, {.floats = {{"potentials", {0, 1, 2, 3, 4}}}}), InputError);
  EXPECT_THROW(prepare({.batch = 2, .own = {{"axes", 1}}},
                       {.floats = {{"potentials", {0, 1, 2, 3, 4}}, {"mean", {0, 0, 0}}, {"axes", {1, 0}}}}),
               InputError);
}

}  // namespace
}  // namespace otnfm
