// The solvers of the couplings: what each promises of its pairs, that they depend on their step alone, and where they
// run.
#include "engine/couplings/batch_solver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <tuple>

#include "engine/core/table.h"
#include "engine/couplings/coupling.h"
#include "engine/train/options.h"
#include "kernels/error.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

struct Stack {
  std::int64_t S, B, d;
  std::vector<float> source, target;

  Stack(std::int64_t problems, std::int64_t rows, std::int64_t dimension)
      : S(problems), B(rows), d(dimension), source(S * B * d), target(S * B * d) {
    std::mt19937_64 random(std::random_device{}());
    std::normal_distribution<float> normal;
    for (float& value : source) value = normal(random);
    for (float& value : target) value = 2 * normal(random) + 1;
  }
  View<const float> x() const { return {source.data(), {S, B, d}}; }
  View<const float> y() const { return {target.data(), {S, B, d}}; }

  double cost(std::int64_t s, std::int64_t i, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const double difference = static_cast<double>(source[(s * B + i) * d + k]) - target[(s * B + j) * d + k];
      sum += difference * difference;
    }
    return sum / static_cast<double>(B);
  }
  double mean_cost(const std::vector<std::int64_t>& sigma) const {
    double sum = 0;
    for (std::int64_t s = 0; s < S; ++s)
      for (std::int64_t i = 0; i < B; ++i) sum += cost(s, i, sigma[s * B + i]) / static_cast<double>(S);
    return sum;
  }
  double independent_cost() const {
    double sum = 0;
    for (std::int64_t s = 0; s < S; ++s)
      for (std::int64_t i = 0; i < B; ++i)
        for (std::int64_t j = 0; j < B; ++j) sum += cost(s, i, j) / static_cast<double>(S * B);
    return sum;
  }

  std::vector<std::int64_t> solve(BatchSolver& solver, std::uint64_t seed, std::uint64_t first) const {
    std::vector<std::int64_t> sigma(S * B, -7);
    solver.solve(x(), y(), seed, first, {sigma.data(), {S, B}});
    return sigma;
  }
};

std::unique_ptr<BatchSolver> make(const std::string& solver, const std::string& pairs = "automatic") {
  return std::make_unique<BatchSolver>(PairingOptions{solver, pairs}, Device::cpu);
}

TEST(BatchSolver, ExactPairsAreOneToOneAndCheapest) {
  const Stack stack(3, 33, 2);
  const std::vector<std::int64_t> exact = stack.solve(*make("exact"), 1, 5);
  for (const auto& sigma : {exact, stack.solve(*make("auction"), 1, 5), stack.solve(*make("sinkhorn"), 1, 5)}) {
    for (std::int64_t s = 0; s < stack.S; ++s)
      EXPECT_EQ(std::set<std::int64_t>(sigma.begin() + s * stack.B, sigma.begin() + (s + 1) * stack.B).size(), 33u);
    EXPECT_LE(stack.mean_cost(sigma), 1.001 * stack.mean_cost(exact));
  }
  // Sampled pairs have the plan's cost, which no one-to-one pairing undercuts, up to the noise of so few.
  const double optimum = stack.mean_cost(exact);
  EXPECT_LT(optimum, stack.independent_cost());
  EXPECT_GT(stack.mean_cost(stack.solve(*make("sinkhorn", "sampled"), 1, 5)), 0.6 * optimum);
}

// Where pairs are wanted no more, a solve ends that would go on for long; it is not brought to its end first.
TEST(BatchSolver, EndsInTheMiddleOfASolve) {
  for (const auto& [name, pairs, rows, dimension] : {std::tuple{"exact", "automatic", 4000, 64},
                                                     {"exact", "automatic", 8000, 64},
                                                     {"auction", "automatic", 8000, 64},
                                                     {"sinkhorn", "automatic", 9000, 2},
                                                     {"sinkhorn", "argmax", 9000, 2},
                                                     {"sinkhorn", "sampled", 9000, 2}}) {
    SCOPED_TRACE(std::string(name) + ", " + pairs + ", " + std::to_string(rows) + " rows");
    const Stack stack(1, rows, dimension);
    const std::unique_ptr<BatchSolver> solver = make(name, pairs);
    std::atomic<int> asked = 0;
    // Once before the solve begins.
    solver->wanted = [&] { return ++asked <= 1; };
    EXPECT_THROW(stack.solve(*solver, 1, 0), PairingStopped);
    EXPECT_GT(asked, 1);
  }
}

TEST(BatchSolver, PlansPairLikelyRows) {
  const Stack stack(2, 61, 3);
  for (const char* pairs : {"argmax", "sampled"}) {
    SCOPED_TRACE(pairs);
    const std::vector<std::int64_t> sigma = stack.solve(*make("sinkhorn", pairs), 3, 0);
    for (std::int64_t j : sigma) ASSERT_TRUE(j >= 0 && j < stack.B) << j;
    EXPECT_LT(stack.mean_cost(sigma), 0.8 * stack.independent_cost());
  }
}

TEST(BatchSolver, ChoicesAreAFunctionOfSeedAndStep) {
  const Stack stack(3, 40, 2);
  const std::vector<std::int64_t> sigma = stack.solve(*make("sinkhorn", "sampled"), 3, 10);
  EXPECT_EQ(sigma, stack.solve(*make("sinkhorn", "sampled"), 3, 10));
  EXPECT_NE(sigma, stack.solve(*make("sinkhorn", "sampled"), 3, 11));
  EXPECT_NE(sigma, stack.solve(*make("sinkhorn", "sampled"), 4, 10));
  // Problem 1 of a stack from step 10 is problem 0 of one from step 11.
  Stack rest = stack;
  rest.S = 2;
  rest.source.erase(rest.source.begin(), rest.source.begin() + stack.B * stack.d);
  rest.target.erase(rest.target.begin(), rest.target.begin() + stack.B * stack.d);
  const std::vector<std::int64_t> later = rest.solve(*make("sinkhorn", "sampled"), 3, 11);
  EXPECT_EQ(later, std::vector<std::int64_t>(sigma.begin() + stack.B, sigma.end()));
}

// When options are read, before a run has touched its folder.
TEST(BatchSolver, OptionsThatDoNotGoTogetherAreRefusedAtOnce) {
  const auto read = [](const char* coupling, const char* solver, const char* pairs) {
    TrainingOptions options;
    options.read({{"coupling", coupling}, {"solver", solver}, {"pairs", pairs}});
  };
  EXPECT_NO_THROW(read("minibatch", "sinkhorn", "argmax"));
  EXPECT_NO_THROW(read("global", "sinkhorn", "permutation"));
  EXPECT_THROW(read("global", "sinkhorn", "sampled"), InputError);
  EXPECT_THROW(read("online", "sinkhorn", "argmax"), InputError);
  EXPECT_THROW(read("minibatch", "auction", "argmax"), InputError);
  EXPECT_THROW(read("minibatch", "sinkhorn", "none"), InputError);
}

// Feeds two steps; what the coupling says of them then.
CouplingStatistics statistics_after_two_steps(const char* coupling_name, const CouplingOptions& options) {
  const Dataset data = open_dataset("moons");
  const std::unique_ptr<Coupling> coupling =
      find_by_name(couplings(), coupling_name, "coupling").make(Source::gaussian(2), data, options);
  // A minibatch coupling needs none, and would solve some hundred batches to know its variance.
  if (coupling_name != std::string("minibatch")) coupling->prepare({});
  Stream stream(options.device);
  Memory counter(options.device, sizeof(std::uint64_t), "a step");
  Tape tape(options.device, {.training = false});
  const Pairs pairs = coupling->record(tape, {reinterpret_cast<std::uint64_t*>(counter.data()), {1}});
  tape.keep(pairs.x0);
  tape.plan();
  for (std::uint64_t step = 0; step < 2; ++step) {
    copy_bytes(stream, counter.data(), &step, sizeof(step));
    coupling->feed(stream, step);
    tape.run(stream);
    stream.synchronize();
  }
  return coupling->statistics();
}

// A training on a GPU pairs on the GPU, by the solvers that there are for it.
TEST(BatchSolver, IsOnTheDeviceThatTrainsWhereThatHasTheSolver) {
  OTNFM_NEEDS_CUDA();
  for (const char* coupling : {"minibatch", "online", "global"})
    for (const char* solver : {"exact", "auction", "sinkhorn"}) {
      SCOPED_TRACE(std::string(coupling) + ", " + solver);
      CouplingOptions options{.batch = 9, .own = {{"solver", solver}}, .seed = 3};
      if (coupling != std::string("minibatch")) options.own["bank"] = std::int64_t{18};
      const CouplingStatistics on_cpu = statistics_after_two_steps(coupling, options);
      options.device = Device::cuda;
      const CouplingStatistics on_gpu = statistics_after_two_steps(coupling, options);
      EXPECT_EQ(on_cpu.device, Device::cpu);
      EXPECT_EQ(on_gpu.device, solver == std::string("exact") ? Device::cpu : Device::cuda);
      EXPECT_NEAR(on_gpu.mean_cost, on_cpu.mean_cost, 2e-3 * on_cpu.mean_cost);
    }
}

}  // namespace
}  // namespace otnfm
