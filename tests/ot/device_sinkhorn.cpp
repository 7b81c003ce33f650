// Sinkhorn on each device of the build and in each regime, against the CPU's own solver, which has its own tests.
#include "ot/device_sinkhorn.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "tests/cuda_at_hand.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

class DeviceSinkhornOn : public testing::TestWithParam<Device> {};

#define OTNFM_NEEDS_ITS_DEVICE() \
  if (GetParam() == Device::cuda) OTNFM_NEEDS_CUDA()

// The shim takes a thousand times the time of a device: smaller problems do there.
bool is_slow(Device device) {
  return device == Device::cuda && OTNFM_SIMT;
}

std::vector<double> weights(Random& random, std::int64_t n) {
  std::vector<double> values(static_cast<std::size_t>(n));
  for (double& value : values) value = std::uniform_real_distribution<double>(0.1, 2)(random);
  return values;
}

double plan_entry(const Matrix<double>& c, const SinkhornResult& r, std::int64_t i, std::int64_t j) {
  return std::exp((r.f[static_cast<std::size_t>(i)] + r.g[static_cast<std::size_t>(j)] - c(i, j)) / r.epsilon);
}

// Both say the same of the problem, up to `tolerance` of the plan's mass.
void expect_same(const Matrix<double>& c, const SinkhornOptions& options, const SinkhornResult& got,
                 const SinkhornResult& want, double tolerance) {
  ASSERT_EQ(got.status, SolveStatus::converged) << got.message;
  ASSERT_EQ(want.status, SolveStatus::converged) << want.message;
  EXPECT_EQ(got.epsilon, want.epsilon);
  double size = 0, apart = 0, mass_a = 0, mass_b = 0;
  for (const double value : c.values) size = std::max(size, std::fabs(value));
  const auto part = [](std::span<const double> given, std::int64_t at, std::int64_t count) {
    return given.empty() ? 1.0 / static_cast<double>(count) : given[static_cast<std::size_t>(at)];
  };
  for (std::int64_t i = 0; i < c.rows; ++i) mass_a += part(options.source_weights, i, c.rows);
  for (std::int64_t j = 0; j < c.columns; ++j) mass_b += part(options.target_weights, j, c.columns);
  for (std::int64_t i = 0; i < c.rows; ++i)
    for (std::int64_t j = 0; j < c.columns; ++j)
      apart += part(options.source_weights, i, c.rows) / mass_a * part(options.target_weights, j, c.columns) / mass_b *
               std::fabs(plan_entry(c, got, i, j) - plan_entry(c, want, i, j));
  EXPECT_TRUE(apart <= tolerance) << apart;
  EXPECT_TRUE(std::fabs(got.transport_cost - want.transport_cost) <= tolerance * size)
      << got.transport_cost << " for " << want.transport_cost;
  EXPECT_TRUE(std::fabs(got.entropic_cost - want.entropic_cost) <= tolerance * size)
      << got.entropic_cost << " for " << want.entropic_cost;
  EXPECT_TRUE(std::fabs(got.mass - want.mass) <= tolerance) << got.mass << " for " << want.mass;
  if (std::isinf(options.marginal_penalty)) {
    EXPECT_TRUE(got.row_error + got.column_error <= 2 * options.tolerance + 1e-5)
        << got.row_error << " and " << got.column_error;
  }
}

TEST_P(DeviceSinkhornOn, EqualsTheSolverOfTheCpu) {
  OTNFM_NEEDS_ITS_DEVICE();
  Random random(std::random_device{}());
  Stream stream(GetParam());
  DeviceSinkhorn solver(stream);
  const bool slow = is_slow(GetParam());
  for (const auto& [n, m, d] : {std::tuple{1, 1, 1}, slow ? std::tuple{13, 17, 2} : std::tuple{40, 33, 2},
                                slow ? std::tuple{9, 24, 19} : std::tuple{17, 72, 19}})
    for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot})
      for (const SinkhornRegime regime :
           {SinkhornRegime::streaming, SinkhornRegime::stored, SinkhornRegime::stored_16, SinkhornRegime::resident}) {
        const bool resident = regime == SinkhornRegime::resident;
        if (resident && cost != Cost::squared_euclidean) continue;
        const bool weighted = !resident && random() % 2 == 0, mixing = slow || random() % 2 == 0;
        SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + ", d " + std::to_string(d) + " " + name_of(cost) +
                     " " + name_of(regime) + (weighted ? " weighted" : "") + (mixing ? " mixing" : ""));
        const Matrix<float> x = gaussian<float>(random, n, d, 1, 5), y = gaussian<float>(random, m, d, 0.7, 3);
        const std::vector<double> a = weights(random, n), b = weights(random, m);
        SinkhornOptions options{.epsilon = 0.2, .tolerance = 2e-5, .mixing = mixing};
        if (!mixing && !resident && random() % 2 == 0) options.relaxation = 1.5;
        if (weighted) {
          options.source_weights = a;
          options.target_weights = b;
        }
        const Problem problem = Problem::from_points(x.view(), y.view(), cost);
        SinkhornResult result;
        solver.solve(problem, options, result, regime);
        EXPECT_EQ(solver.regime(), regime);
        expect_same(cost_matrix(x, y, cost), options, result, solve_sinkhorn(problem, options),
                    regime == SinkhornRegime::stored_16 ? 5e-3 : 1e-3);
      }
}

TEST_P(DeviceSinkhornOn, MatricesAndUnbalanced) {
  OTNFM_NEEDS_ITS_DEVICE();
  Random random(std::random_device{}());
  Stream stream(GetParam());
  DeviceSinkhorn solver(stream);
  SinkhornResult result;
  const Matrix<double> c = is_slow(GetParam()) ? gaussian<double>(random, 9, 16) : gaussian<double>(random, 33, 41);
  const Problem problem = Problem::from_matrix(c.view());
  EXPECT_THROW(solver.solve(problem, {}, result, SinkhornRegime::streaming), InputError);
  for (const double rho : {0.5, 20.0, std::numeric_limits<double>::infinity()})
    for (const SinkhornRegime regime : {SinkhornRegime::stored, SinkhornRegime::stored_16}) {
      SCOPED_TRACE(rho);
      const SinkhornOptions options{
          .epsilon = 0.3, .unit = EpsilonUnit::absolute, .tolerance = 1e-5, .marginal_penalty = rho};
      solver.solve(problem, options, result, regime);
      expect_same(c, options, result, solve_sinkhorn(problem, options), 1e-3);
    }
}

TEST_P(DeviceSinkhornOn, SmallEpsilonAndBelow) {
  OTNFM_NEEDS_ITS_DEVICE();
  Random random(std::random_device{}());
  Stream stream(GetParam());
  DeviceSinkhorn solver(stream);
  SinkhornResult result;
  const std::int64_t n = is_slow(GetParam()) ? 7 : 50;
  for (const std::int64_t d : {2, 20}) {
    SCOPED_TRACE(d);
    const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, n, d, 1, 0.5);
    const Problem problem = Problem::from_points(x.view(), y.view());
    const double optimum = reference_total(cost_matrix(x, y, Cost::squared_euclidean)) / static_cast<double>(n);
    for (const SinkhornRegime regime : {SinkhornRegime::streaming, SinkhornRegime::stored}) {
      SCOPED_TRACE(name_of(regime));
      solver.solve(problem,
                   {.epsilon = is_slow(GetParam()) ? 1e-3 : 1e-4,
                    .unit = EpsilonUnit::mean_cost,
                    .tolerance = 0.01,
                    .max_iterations = 50000},
                   result, regime);
      for (const double value : result.f) ASSERT_TRUE(std::isfinite(value));
      for (const double value : result.g) ASSERT_TRUE(std::isfinite(value));
      EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
      EXPECT_TRUE(result.row_error + result.column_error <= 0.02 + 2 * result.rounding);
      EXPECT_TRUE(std::fabs(result.transport_cost - optimum) <= 0.1 * optimum)
          << result.transport_cost << " for " << optimum;
      EXPECT_TRUE(transport_dual_bound(problem, result.g) <= optimum * (1 + 1e-9));
      solver.solve(problem, {.epsilon = 1e-8, .unit = EpsilonUnit::mean_cost, .max_iterations = 500}, result, regime);
      EXPECT_EQ(result.status, SolveStatus::numerical_failure);
      EXPECT_NE(result.message.find("epsilon"), std::string::npos) << result.message;
    }
  }
}

TEST_P(DeviceSinkhornOn, WarmCappedEmptyAndInvalid) {
  OTNFM_NEEDS_ITS_DEVICE();
  Random random(std::random_device{}());
  Stream stream(GetParam());
  DeviceSinkhorn solver(stream);
  SinkhornResult cold, result;
  Matrix<float> x = gaussian<float>(random, 60, 5);
  const Matrix<float> y = gaussian<float>(random, 70, 5), none(0, 5);
  const Problem problem = Problem::from_points(x.view(), y.view());
  solver.solve(problem, {}, cold);
  EXPECT_EQ(solver.regime(), SinkhornRegime::streaming);
  solver.solve(problem, {.initial_g = cold.g}, result);
  EXPECT_EQ(result.status, SolveStatus::converged);
  EXPECT_TRUE(result.iterations <= 2) << result.iterations;
  solver.solve(problem, {.epsilon = 1e-3, .tolerance = 1e-9, .max_iterations = 5}, result);
  EXPECT_EQ(result.status, SolveStatus::iteration_limit);
  EXPECT_EQ(result.iterations, 5);
  EXPECT_TRUE(std::isfinite(result.transport_cost));
  solver.solve(Problem::from_points(none.view(), y.view()), {}, result);
  EXPECT_EQ(result.status, SolveStatus::converged);
  EXPECT_EQ(result.g.size(), 70u);
  EXPECT_THROW(solver.solve(problem, {.epsilon = -1}, result), InputError);
  solver.solve(problem, {.epsilon = 1e-3, .tolerance = 1e-9, .max_iterations = 5}, result, SinkhornRegime::resident);
  EXPECT_EQ(result.status, SolveStatus::iteration_limit);
  EXPECT_EQ(result.iterations, 5);
  EXPECT_THROW(solver.solve(problem, {.initial_g = cold.g}, result, SinkhornRegime::resident), InputError);
  x(3, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(solver.solve(problem, {}, result), InputError);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceSinkhornOn, testing::Values(Device::cpu, Device::cuda),
                         [](const auto& info) { return name_of(info.param); });

TEST(SinkhornPlan, FollowsSizesAndMemory) {
  const std::vector<float> some(1, 0.0f);
  const auto points = [&](std::int64_t n, std::int64_t d) {
    return Problem::from_points(View<const float>(some.data(), {n, d}), View<const float>(some.data(), {n, d}));
  };
  const std::size_t large = std::size_t{64} << 30;
  EXPECT_EQ(plan_sinkhorn(points(4096, 2), large), SinkhornRegime::streaming);
  EXPECT_EQ(plan_sinkhorn(points(4096, 784), large), SinkhornRegime::stored);
  EXPECT_EQ(plan_sinkhorn(points(120000, 784), large), SinkhornRegime::stored_16);
  EXPECT_EQ(plan_sinkhorn(points(1000000, 784), large), SinkhornRegime::streaming);
  const Problem matrix = Problem::from_matrix(View<const float>(some.data(), {4096, 4096}));
  EXPECT_EQ(plan_sinkhorn(matrix, large), SinkhornRegime::stored);
  EXPECT_THROW(plan_sinkhorn(matrix, 1 << 20), InputError);
}

}  // namespace
}  // namespace otnfm::test
