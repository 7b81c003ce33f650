// The planner: each solver by name, one problem and a stack, on every device, against the solvers themselves.
#include "ot/solve.h"

#include <gtest/gtest.h>

#include <atomic>

#include "kernels/error.h"
#include "ot/auction.h"
#include "ot/exact.h"
#include "ot/transport.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

struct Stack {
  std::vector<Matrix<float>> source, target;
  std::vector<Problem> problems;

  Stack(Random& random, std::int64_t count, std::int64_t n, std::int64_t d) {
    for (std::int64_t b = 0; b < count; ++b) {
      source.push_back(gaussian<float>(random, n, d));
      target.push_back(gaussian<float>(random, n, d));
    }
    for (std::size_t b = 0; b < source.size(); ++b)
      problems.push_back(Problem::from_points(source[b].view(), target[b].view()));
  }
};

std::vector<Solution> solve_stack(Stream& stream, const Stack& stack, const SolveOptions& options) {
  SolveWorkspace workspace;
  std::vector<Solution> solutions(stack.problems.size());
  for (int time = 0; time < 2; ++time)  // the second in memory that the first has used
    solve(stream, stack.problems, options, workspace, solutions);
  return solutions;
}

TEST(Solve, EachSolverIsTheOneThatItNames) {
  Random random(std::random_device{}());
  Stream stream(Device::cpu);
  const Stack stack(random, 5, 60, 3);
  const std::vector<Solution> exact = solve_stack(stream, stack, {}),
                              auction = solve_stack(stream, stack, {.solver = TransportSolver::auction}),
                              sinkhorn = solve_stack(stream, stack, {.solver = TransportSolver::sinkhorn});
  for (std::size_t b = 0; b < stack.problems.size(); ++b) {
    EXPECT_EQ(exact[b].assignment.sigma, solve_exact(stack.problems[b]).sigma);
    EXPECT_EQ(auction[b].assignment.sigma, solve_auction(stack.problems[b]).sigma);
    EXPECT_EQ(exact[b].assignment.sigma, solve(stream, stack.problems[b]).assignment.sigma);
    const double optimum = exact[b].assignment.certificate.primal_cost;
    ASSERT_TRUE(sinkhorn[b].entropic.has_value());
    EXPECT_EQ(sinkhorn[b].entropic->pairs, PlanPairs::permutation);
    for (const auto& [solution, gap] : {std::pair{&exact[b], 1e-9}, {&auction[b], 1e-6}, {&sinkhorn[b], 1e-3}}) {
      const Certificate& proof = solution->assignment.certificate;
      EXPECT_EQ(solution->assignment.status, SolveStatus::converged) << solution->message;
      EXPECT_TRUE(solution->certified && proof.is_permutation && solution->message.empty());
      EXPECT_LE(proof.gap, gap);
      EXPECT_LE(proof.primal_cost, optimum * (1 + gap) + 1e-12);
      EXPECT_LE(proof.dual_bound, optimum * (1 + 1e-12));
    }
  }
}

TEST(Solve, WithoutACertificateTheCostIsKnownIfWantedAndNothingElse) {
  Random random(std::random_device{}());
  Stream stream(Device::cpu);
  const Stack stack(random, 2, 40, 2);
  for (const TransportSolverEntry& entry : transport_solvers())
    for (const PlanPairs pairs : {PlanPairs::automatic, PlanPairs::argmax}) {
      if (pairs != PlanPairs::automatic && entry.value != TransportSolver::sinkhorn) continue;
      SCOPED_TRACE(entry.name);
      for (const Solution& solution :
           solve_stack(stream, stack, {.solver = entry.value, .certify = false, .pairs = pairs})) {
        EXPECT_FALSE(solution.certified);
        EXPECT_GT(solution.assignment.certificate.primal_cost, 0);
        EXPECT_TRUE(std::isnan(solution.assignment.certificate.dual_bound));
        EXPECT_TRUE(std::isnan(solution.assignment.certificate.gap));
        EXPECT_EQ(solution.assignment.certificate.is_permutation, pairs == PlanPairs::automatic);
      }
      const SolveOptions pairs_alone{.solver = entry.value, .certify = false, .costs = false, .pairs = pairs},
          with_costs{.solver = entry.value, .certify = false, .pairs = pairs};
      const Solution alone = solve(stream, stack.problems[0], pairs_alone);
      EXPECT_EQ(alone.assignment.sigma, solve(stream, stack.problems[0], with_costs).assignment.sigma);
      if (pairs == PlanPairs::automatic) {
        EXPECT_TRUE(std::isnan(alone.assignment.certificate.primal_cost));
      }
    }
}

TEST(Solve, SampledPairsAreDrawnAnewForEachProblemOfAStack) {
  Random random(std::random_device{}());
  Stream stream(Device::cpu);
  Stack stack(random, 1, 50, 2);
  const Problem one = stack.problems.front();
  stack.problems = {one, one, one};
  const SolveOptions options{
      .solver = TransportSolver::sinkhorn, .epsilon = 1.0, .pairs = PlanPairs::sampled, .seed = 5, .first_step = 7};
  const std::vector<Solution> all = solve_stack(stream, stack, options);
  EXPECT_NE(all[0].assignment.sigma, all[1].assignment.sigma);
  EXPECT_NE(all[1].assignment.sigma, all[2].assignment.sigma);
  SolveOptions later = options;
  later.first_step = 9;
  EXPECT_EQ(all[2].assignment.sigma, solve(stream, one, later).assignment.sigma);
}

TEST(Solve, WeightsMakeAPlan) {
  Random random(std::random_device{}());
  Stream stream(Device::cpu);
  const Matrix<double> x = gaussian<double>(random, 30, 2), y = gaussian<double>(random, 20, 2);
  const Problem problem = Problem::from_points(x.view(), y.view());
  std::vector<double> a(30);
  for (double& value : a) value = 1.0 + static_cast<double>(random() % 100);
  const Solution solution = solve(stream, problem, {.source_weights = a});
  const Transport plan = solve_transport(problem, a, {});
  ASSERT_TRUE(solution.weighted.has_value());
  ASSERT_EQ(solution.weighted->entries.size(), plan.mass.size());
  for (std::size_t k = 0; k < plan.mass.size(); ++k) {
    EXPECT_EQ(solution.weighted->entries[k].mass, plan.mass[k]);
    EXPECT_EQ(solution.weighted->entries[k].row, plan.rows[k]);
  }
  EXPECT_EQ(solution.assignment.certificate.primal_cost, plan.primal_cost);
  EXPECT_EQ(solution.weighted->mass, plan.total_mass);
}

TEST(Solve, OneLimitAndOneWordForAStack) {
  Random random(std::random_device{}());
  Stream stream(Device::cpu);
  const Stack stack(random, 6, 70, 2);
  for (const TransportSolverEntry& entry : transport_solvers()) {
    SCOPED_TRACE(entry.name);
    for (const Solution& solution : solve_stack(stream, stack, {.solver = entry.value, .max_seconds = 0})) {
      EXPECT_EQ(solution.assignment.status, SolveStatus::time_limit);
      EXPECT_FALSE(solution.message.empty());
    }
  }
}

TEST(Solve, RefusesWhatDoesNotGoTogether) {
  Random random(1);
  Stream stream(Device::cpu);
  const Matrix<float> x = gaussian<float>(random, 4, 2), y = gaussian<float>(random, 3, 2);
  const Problem problem = Problem::from_points(x.view(), y.view());
  const std::vector<double> three = {1, 2, 3};
  const auto refused = [&](const SolveOptions& options, const char* word) {
    try {
      solve(stream, problem, options);
      ADD_FAILURE() << word;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  };
  refused({.regime = "magic"}, "magic");
  refused({.warm_start = three}, "warm start");
  refused({.marginal_penalty = 2}, "penalty");
  refused({.pairs = PlanPairs::argmax}, "pairs");
  refused({.solver = TransportSolver::auction, .regime = "dense"}, "regime");
  refused({.solver = TransportSolver::auction, .target_weights = three}, "weight");
  refused({.solver = TransportSolver::sinkhorn, .regime = "dense"}, "streaming");
  refused({.solver = TransportSolver::sinkhorn, .pairs = PlanPairs::permutation}, "permutation");
  refused({.solver = TransportSolver::sinkhorn, .regime = "stored", .pairs = PlanPairs::argmax}, "argmax");
}

class SolveOn : public testing::TestWithParam<Device> {};

// A stack on a device, several problems at a time, is what its problems are one by one.
TEST_P(SolveOn, AStackIsItsProblems) {
  if (GetParam() == Device::cuda && !cuda_available()) GTEST_SKIP() << "needs CUDA or the simt build";
  Random random(std::random_device{}());
  Stream stream(GetParam());
  const Stack stack(random, 5, 12, 2);
  for (const TransportSolver solver : {TransportSolver::auction, TransportSolver::sinkhorn}) {
    SCOPED_TRACE(name_of(solver));
    const std::vector<Solution> together = solve_stack(stream, stack, {.solver = solver, .max_gap = 1e-3});
    for (std::size_t b = 0; b < stack.problems.size(); ++b) {
      const Solution alone = solve(stream, stack.problems[b], {.solver = solver, .max_gap = 1e-3});
      EXPECT_EQ(together[b].device, GetParam());
      EXPECT_EQ(together[b].assignment.sigma, alone.assignment.sigma);
      EXPECT_EQ(together[b].assignment.status, SolveStatus::converged) << together[b].message;
      EXPECT_LE(together[b].assignment.certificate.gap, 1e-3);
    }
  }
  const std::vector<Solution> late =
      solve_stack(stream, stack, {.solver = TransportSolver::auction, .max_seconds = 0, .max_gap = 1e-3});
  for (const Solution& solution : late) EXPECT_EQ(solution.assignment.status, SolveStatus::time_limit);
  std::atomic<int> asked = 0;
  SolveOptions watched{.solver = TransportSolver::auction, .max_gap = 1e-3};
  watched.watch = [&](const SolveProgress&) { return ++asked > 0; };
  for (const Solution& solution : solve_stack(stream, stack, watched))
    EXPECT_EQ(solution.assignment.status, SolveStatus::converged);
}

INSTANTIATE_TEST_SUITE_P(Devices, SolveOn, testing::Values(Device::cpu, Device::cuda),
                         [](const testing::TestParamInfo<Device>& info) { return name_of(info.param); });

}  // namespace
}  // namespace otnfm::test
