// otnfm couple: every solver on points, matrices, stacks and weights, what it writes, and what it refuses.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

class Couple : public ProgramTest {
 protected:
  nlohmann::json couple(const std::string& arguments) const {
    const Outcome outcome = run("couple --json " + arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    const nlohmann::json json = nlohmann::json::parse(outcome.out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << arguments << "\n" << outcome.out;
    return json;
  }

  std::string normal(const std::string& name, const std::vector<std::int64_t>& shape, double scale = 1) {
    std::normal_distribution<double> draw(0, scale);
    std::size_t size = 1;
    for (std::int64_t s : shape) size *= static_cast<std::size_t>(s);
    std::vector<float> values(size);
    for (float& value : values) value = static_cast<float>(draw(random_));
    return write_npy(name, shape, values);
  }

  // What follows the header of a file that the program wrote.
  template <class T>
  std::vector<T> payload(const std::string& name, std::size_t count) const {
    const std::string bytes = read(path(name));
    std::vector<T> values(count);
    EXPECT_GE(bytes.size(), count * sizeof(T)) << name;
    if (bytes.size() >= count * sizeof(T))
      std::memcpy(values.data(), bytes.data() + bytes.size() - count * sizeof(T), count * sizeof(T));
    return values;
  }

  std::mt19937_64 random_{std::random_device{}()};
};

TEST_F(Couple, ACloudWithAShiftedCopyOfItself) {
  const std::string a = write_npy("a.npy", {3, 1}, std::array<float, 3>{0, 10, 20});
  const std::string b = write_npy("b.npy", {3, 1}, std::array<float, 3>{21, 1, 11});
  for (const char* solver : {"exact", "auction", "sinkhorn"}) {
    SCOPED_TRACE(solver);
    const nlohmann::json result =
        couple("--source " + a + " --target " + b + " --out " + path("sigma.npy") + " --solver " + solver);
    EXPECT_DOUBLE_EQ(result["primal_cost"].get<double>(), 1.0);
    EXPECT_LE(result["gap"].get<double>(), 1e-3);
    EXPECT_EQ(result["is_permutation"], true);
    for (const char* key : {"n", "m", "d", "solver", "regime", "dual_bound", "marginal_error", "iterations", "seconds",
                            "device", "status"})
      EXPECT_TRUE(result.contains(key)) << key;
    EXPECT_EQ(payload<std::int64_t>("sigma.npy", 3), (std::vector<std::int64_t>{1, 2, 0}));
  }
}

TEST_F(Couple, AllSolversAgreeWithinTheirGaps) {
  const std::string points = "--source " + normal("a.npy", {90, 7}) + " --target " + normal("b.npy", {90, 7}, 2);
  const nlohmann::json exact = couple(points);
  const double optimum = exact["primal_cost"];
  EXPECT_LE(exact["gap"].get<double>(), 1e-12);
  for (const char* regime : {"dense", "screened", "multilevel"}) {
    const nlohmann::json result = couple(points + " --regime " + regime);
    EXPECT_EQ(result["regime"], regime);
    EXPECT_NEAR(result["primal_cost"].get<double>(), optimum, 1e-12 * optimum);
  }
  for (const char* regime : {"streaming", "stored", "stored_16", "resident"}) {
    const nlohmann::json result = couple(points + " --solver sinkhorn --regime " + regime);
    EXPECT_EQ(result["regime"], regime);
    EXPECT_LE(result["marginal_error"].get<double>(), 1e-3);
    EXPECT_LE(result["gap"].get<double>(), 1e-3);
  }
  for (const double gap : {1e-1, 1e-4})
    for (const char* solver : {"auction", "sinkhorn"}) {
      const nlohmann::json result = couple(points + " --solver " + solver + " --max-gap " + std::to_string(gap));
      EXPECT_LE(result["gap"].get<double>(), gap);
      EXPECT_LE(result["primal_cost"].get<double>(), optimum * (1 + 1.2 * gap));
      EXPECT_LE(result["dual_bound"].get<double>(), optimum * (1 + 1e-12));
    }
}

TEST_F(Couple, AStackIsItsProblemsOneByOne) {
  const std::string stack =
      "--batch --source " + normal("a.npy", {5, 33, 3}) + " --target " + normal("b.npy", {5, 33, 3});
  for (const char* solver : {"exact", "auction", "sinkhorn"}) {
    const nlohmann::json result = couple(stack + " --out " + path("sigma.npy") + " --solver " + solver);
    EXPECT_EQ(result["batch"], 5);
    ASSERT_EQ(result["problems"].size(), 5u);
    double mean = 0;
    for (const auto& problem : result["problems"]) {
      EXPECT_EQ(problem["n"], 33);
      mean += problem["primal_cost"].get<double>() / 5;
    }
    EXPECT_NEAR(result["primal_cost"].get<double>(), mean, 1e-12);
    EXPECT_EQ(result["is_permutation"], true);
    const auto sigma = payload<std::int64_t>("sigma.npy", 5 * 33);
    for (std::size_t b = 0; b < 5; ++b) {
      std::vector<bool> taken(33, false);
      for (std::size_t i = 0; i < 33; ++i) {
        const std::int64_t j = sigma[b * 33 + i];
        ASSERT_TRUE(j >= 0 && j < 33 && !taken[static_cast<std::size_t>(j)]);
        taken[static_cast<std::size_t>(j)] = true;
      }
    }
  }
}

TEST_F(Couple, APlanHasTheMarginalsAskedFor) {
  std::vector<float> weights(40);
  for (float& w : weights) w = std::uniform_real_distribution<float>(0.1F, 2)(random_);
  float sum = 0;
  for (float w : weights) sum += w;
  const nlohmann::json result =
      couple("--solver sinkhorn --source " + normal("a.npy", {40, 2}) + " --target " + normal("b.npy", {57, 2}) +
             " --source-weights " + write_npy("w.npy", {40}, weights) + " --plan-out " + path("plan.npy"));
  EXPECT_LE(result["marginal_error"].get<double>(), 1e-3);
  EXPECT_LE(result["dual_bound"].get<double>(), result["transport_cost"].get<double>() * (1 + 1e-3));
  const auto plan = payload<float>("plan.npy", std::size_t{40} * 57);
  double row_error = 0, column_error = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    double mass = 0;
    for (std::size_t j = 0; j < 57; ++j) mass += plan[i * 57 + j];
    row_error += std::fabs(mass - static_cast<double>(weights[i]) / static_cast<double>(sum));
  }
  for (std::size_t j = 0; j < 57; ++j) {
    double mass = 0;
    for (std::size_t i = 0; i < 40; ++i) mass += plan[i * 57 + j];
    column_error += std::fabs(mass - 1.0 / 57);
  }
  EXPECT_LE(row_error + column_error, 1.1e-3);
}

TEST_F(Couple, PotentialsWarmStartAnotherRun) {
  const std::string points = "--source " + normal("a.npy", {300, 20}) + " --target " + normal("b.npy", {300, 20});
  const nlohmann::json cold = couple(points + " --solver sinkhorn --potentials-out " + path("g.npy"));
  const nlohmann::json warm = couple(points + " --solver sinkhorn --warm-start " + path("g.npy"));
  EXPECT_LT(warm["iterations"].get<int>(), cold["iterations"].get<int>());
  EXPECT_LE(couple(points + " --solver auction --warm-start " + path("g.npy"))["gap"].get<double>(), 1e-6);
}

TEST_F(Couple, UnequalSizesMatchTheSmallerSide) {
  const std::string points = "--source " + normal("a.npy", {9, 2}) + " --target " + normal("b.npy", {5, 2});
  for (const char* solver : {"exact", "auction"}) {
    EXPECT_EQ(couple(points + " --out " + path("sigma.npy") + " --solver " + solver)["is_permutation"], true);
    const auto sigma = payload<std::int64_t>("sigma.npy", 9);
    EXPECT_EQ(std::count(sigma.begin(), sigma.end(), -1), 4);
  }
  EXPECT_EQ(couple(points + " --solver sinkhorn")["pairs"], "argmax");
  EXPECT_EQ(couple(points + " --solver sinkhorn --pairs sampled --seed 3")["pairs"], "sampled");
}

TEST_F(Couple, AnUnbalancedPlanClaimsNoBound) {
  const nlohmann::json result = couple("--solver sinkhorn --marginal-penalty 1 --source " + normal("a.npy", {31, 2}) +
                                       " --target " + normal("b.npy", {31, 2}, 3));
  EXPECT_TRUE(result["gap"].is_null());
  EXPECT_LT(result["mass"].get<double>(), 1);
}

TEST_F(Couple, FreeMarginalsKeepTheirMasses) {
  const std::string cost = write_npy("c.npy", {2, 2}, std::array<float, 4>{0, 100, 100, 0});
  const std::string one = write_npy("one.npy", {2}, std::array<float, 2>{0.5, 0.5}),
                    two = write_npy("two.npy", {2}, std::array<float, 2>{1, 1});
  const nlohmann::json result =
      couple("--solver sinkhorn --marginal-penalty 1000 --epsilon 0.01 --epsilon-unit absolute --cost " + cost +
             " --source-weights " + one + " --target-weights " + two + " --plan-out " + path("plan.npy"));
  // Between 1 and 2 at the price of both sides' KL, whose least is at the square root.
  EXPECT_NEAR(result["mass"].get<double>(), std::sqrt(2.0), 1e-3);
  double sum = 0;
  for (const float mass : payload<float>("plan.npy", 4)) sum += static_cast<double>(mass);
  EXPECT_NEAR(sum, result["mass"].get<double>(), 1e-3);
}

// Masses 3, 1 against 2, 2: the first row's last unit goes to the column that costs it least more.
TEST_F(Couple, WeightedPointsHaveAnExactPlan) {
  const std::string points = "--cost " + write_npy("c.npy", {2, 2}, std::array<float, 4>{1, 3, 5, 4}) +
                             " --source-weights " + write_npy("w.npy", {2}, std::array<float, 2>{3, 1}) +
                             " --target-weights " + write_npy("v.npy", {2}, std::array<float, 2>{2, 2});
  const nlohmann::json result =
      couple(points + " --out " + path("sigma.npy") + " --plan-out " + path("plan.npy") + " --sparse-plan-out " +
             path("sparse.npy") + " --potentials-out " + path("g.npy"));
  EXPECT_DOUBLE_EQ(result["primal_cost"].get<double>(), (2 * 1 + 1 * 3 + 1 * 4) / 4.0);
  EXPECT_LE(result["gap"].get<double>(), 1e-12);
  EXPECT_EQ(result["mass"], 4);
  EXPECT_EQ(result["entries"], 3);
  EXPECT_EQ(result["is_permutation"], false);
  EXPECT_EQ(result["status"], "converged");
  EXPECT_EQ(result["regime"], "network_simplex");
  EXPECT_EQ(payload<float>("plan.npy", 4), (std::vector<float>{2, 1, 0, 1}));
  EXPECT_EQ(payload<double>("sparse.npy", 9), (std::vector<double>{0, 0, 2, 0, 1, 1, 1, 1, 1}));
  EXPECT_EQ(payload<std::int64_t>("sigma.npy", 2), (std::vector<std::int64_t>{0, 1}));
  const auto g = payload<double>("g.npy", 2);
  EXPECT_NEAR(g[1] - g[0], 2, 1e-12);

  // More rows than columns, and masses on one side alone; sinkhorn comes near, and not below.
  const std::string clouds = "--source " + normal("a.npy", {60, 3}) + " --target " + normal("b.npy", {25, 3}, 2);
  std::vector<float> weights(60);
  for (float& w : weights) w = std::uniform_real_distribution<float>(0.1F, 2)(random_);
  const std::string sides = clouds + " --source-weights " + write_npy("many.npy", {60}, weights);
  const double optimum = couple(sides)["primal_cost"];
  const nlohmann::json plan = couple(sides + " --solver sinkhorn --epsilon 0.01");
  EXPECT_GE(plan["primal_cost"].get<double>(), optimum * (1 - 1e-6));
  EXPECT_LE(plan["dual_bound"].get<double>(), optimum * (1 + 1e-6));
  EXPECT_LE(plan["primal_cost"].get<double>(), optimum * 1.2);

  const std::string three = write_npy("three.npy", {2}, std::array<float, 2>{1, 2});
  expect_refused("couple --cost " + path("c.npy") + " --source-weights " + path("v.npy") + " --target-weights " + three,
                 "target_weights");
  expect_refused("couple " + points + " --regime dense", "--regime");
  expect_refused("couple " + clouds + " --solver sinkhorn --sparse-plan-out " + path("s.npy"), "--sparse-plan-out");
  EXPECT_EQ(couple(clouds + " --sparse-plan-out " + path("s.csv"))["is_permutation"], true);
}

// One iteration: marginals that are far off, and neither a negative gap nor a permutation.
TEST_F(Couple, AnUnfinishedPlanClaimsNoMoreThanItIs) {
  const std::string points = "--source " + normal("a.npy", {50, 2}) + " --target " + normal("b.npy", {50, 2}, 2);
  const double optimum = couple(points)["primal_cost"];
  for (const char* pairs : {"argmax", "sampled"}) {
    const nlohmann::json result =
        couple(points + " --solver sinkhorn --epsilon 1e-3 --max-iterations 1 --pairs " + pairs);
    EXPECT_EQ(result["is_permutation"], false);
    EXPECT_EQ(result["status"], "iteration limit");
    EXPECT_GE(result["primal_cost"].get<double>(), optimum * (1 - 1e-9));
    EXPECT_LE(result["dual_bound"].get<double>(), optimum * (1 + 1e-9));
    EXPECT_GE(result["gap"].get<double>(), 0);
  }
  const nlohmann::json whole = couple(points + " --solver sinkhorn --max-iterations 1");
  EXPECT_EQ(whole["is_permutation"], true);
  EXPECT_LE(whole["gap"].get<double>(), 1e-3);
}

TEST_F(Couple, ANumericalFailureClaimsNothingAndWritesNothing) {
  const std::string command = "couple --solver sinkhorn --epsilon 1e-30 --source " + normal("a.npy", {40, 2}) +
                              " --target " + normal("b.npy", {40, 2}) + " --out " + path("sigma.npy");
  const Outcome plain = run(command), json = run(command + " --json");
  for (const Outcome& outcome : {plain, json}) {
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find("epsilon"), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
  EXPECT_EQ(plain.out, "");
  const nlohmann::json result = nlohmann::json::parse(json.out);
  EXPECT_EQ(result["status"], "numerical failure");
  EXPECT_EQ(result["is_permutation"], false);
  for (const char* key : {"primal_cost", "gap", "marginal_error"}) EXPECT_TRUE(result[key].is_null()) << key;
  EXPECT_FALSE(fs::exists(folder_ / "sigma.npy"));
}

// A limit leaves partners for all, a true bound and exit code 0.
TEST_F(Couple, LimitsLeaveAnAnswer) {
  const std::string points = "--source " + normal("a.npy", {300, 2}) + " --target " + normal("b.npy", {300, 2}, 2);
  const double optimum = couple(points)["primal_cost"];
  for (const char* solver : {"exact", "auction"})
    for (const char* limit : {"--max-seconds 0", "--max-iterations 1"}) {
      SCOPED_TRACE(std::string(solver) + " " + limit);
      const nlohmann::json result =
          couple(points + " --solver " + solver + " " + limit + " --out " + path("sigma.npy"));
      std::vector<bool> taken(300, false);
      for (const std::int64_t j : payload<std::int64_t>("sigma.npy", 300)) {
        ASSERT_TRUE(j >= 0 && j < 300 && !taken[static_cast<std::size_t>(j)]);
        taken[static_cast<std::size_t>(j)] = true;
      }
      EXPECT_EQ(result["is_permutation"], true);
      EXPECT_GE(result["primal_cost"].get<double>(), optimum * (1 - 1e-12));
      EXPECT_LE(result["dual_bound"].get<double>(), optimum * (1 + 1e-12));
      EXPECT_TRUE(result.contains("certificate_seconds"));
      if (std::string(limit) == "--max-seconds 0") {
        EXPECT_EQ(result["status"], "time limit");
        EXPECT_EQ(result["proven_rows"], 0);
      }
    }
}

TEST_F(Couple, TheProofCanBeLeftOut) {
  const std::string points = "--source " + normal("a.npy", {50, 3}) + " --target " + normal("b.npy", {50, 3});
  for (const char* solver : {"exact", "auction"}) {
    const std::string command = points + " --max-gap 0 --solver " + solver;
    const nlohmann::json with = couple(command), without = couple(command + " --no-certificate");
    EXPECT_EQ(without["primal_cost"], with["primal_cost"]);
    EXPECT_EQ(without["is_permutation"], true);
    EXPECT_TRUE(without["gap"].is_null() && without["dual_bound"].is_null());
    EXPECT_EQ(without["certificate_seconds"], 0);
  }
  expect_refused("couple --no-certificate --solver sinkhorn " + points, "--no-certificate");
  std::vector<float> weights(50);
  for (float& w : weights) w = std::uniform_real_distribution<float>(0.1F, 2)(random_);
  const std::string weighted = points + " --source-weights " + write_npy("w.npy", {50}, weights);
  const nlohmann::json with = couple(weighted), without = couple(weighted + " --no-certificate");
  EXPECT_EQ(without["primal_cost"], with["primal_cost"]);
  EXPECT_LE(without["marginal_error"].get<double>(), 1e-12);
  EXPECT_TRUE(without["gap"].is_null() && without["dual_bound"].is_null());
  EXPECT_EQ(without["certificate_seconds"], 0);
  EXPECT_GT(with["certificate_seconds"].get<double>(), 0);
}

// All problems of a stack share the time: no problem after the one in which it was out is looked at.
TEST_F(Couple, AStackOfWeightedPointsSharesItsTime) {
  const nlohmann::json result =
      couple("--batch --max-seconds 0 --source " + normal("a.npy", {3, 90, 2}) + " --target " +
             normal("b.npy", {3, 90, 2}) + " --source-weights " + write_npy("w.npy", {90}, std::vector<float>(90, 2)));
  for (const nlohmann::json& problem : result["problems"]) {
    EXPECT_EQ(problem["status"], "time limit");
    EXPECT_NE(problem["message"].get<std::string>().find("time limit"), std::string::npos) << problem;
  }
  // One takes a tenth of the time or less, all of them some thirty times as long.
  const nlohmann::json limited = couple("--batch --max-seconds 0.2 --source " + normal("c.npy", {300, 600, 4}) +
                                        " --target " + normal("d.npy", {300, 600, 4}) + " --source-weights " +
                                        write_npy("v.npy", {600}, std::vector<float>(600, 2)));
  EXPECT_EQ(limited["problems"].back()["status"], "time limit");
}

TEST_F(Couple, APlanThatNobodyComputedIsNotWritten) {
  // So many numbers that one thread does not come to a first plan in the half second that a limit leaves it.
  constexpr std::size_t n = 6000, d = 2500;
  std::vector<float> values(n * d);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 1009) / 500;
  const std::string points = write_npy("a.npy", {n, d}, values);
  const std::string command =
      "couple --solver sinkhorn --device cpu --max-seconds 0 --threads 1 --source " + points + " --target " + points;
  EXPECT_EQ(run(command).code, 0);
  const Outcome outcome = run(command + " --plan-out " + path("plan.npy"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("--plan-out"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(path("plan.npy")));
}

// A header of 128 bytes may speak of any number of problems that hold nothing.
TEST_F(Couple, AStackOfNothingIsBounded) {
  const std::string huge = write_npy("huge.npy", {1000000000000, 0, 2}, {}), few = write_npy("few.npy", {3, 0, 2}, {});
  expect_refused("couple --batch --source " + huge + " --target " + huge, "huge.npy");
  expect_refused("couple --batch --cost " + huge, "huge.npy");
  EXPECT_EQ(couple("--batch --source " + few + " --target " + few)["batch"], 3);
}

TEST_F(Couple, InfiniteCostsAreForbiddenPairs) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::string some =
      write_npy("some.npy", {3, 3}, std::array<float, 9>{1, kInfinity, 5, kInfinity, 2, 1, 7, 1, kInfinity});
  const std::string none =
      write_npy("none.npy", {3, 3}, std::array<float, 9>{1, kInfinity, kInfinity, 3, kInfinity, kInfinity, 7, 1, 2});
  for (const char* solver : {"exact", "auction"}) {
    const nlohmann::json result = couple("--cost " + some + " --out " + path("sigma.npy") + " --solver " + solver);
    EXPECT_EQ(payload<std::int64_t>("sigma.npy", 3), (std::vector<std::int64_t>{0, 2, 1}));
    EXPECT_EQ(result["primal_cost"], 1);
    EXPECT_LE(result["gap"].get<double>(), 1e-6);
    const Outcome outcome =
        run("couple --json --cost " + none + " --out " + path("none_sigma.npy") + " --solver " + solver);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find("2 of 3 rows"), std::string::npos) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(outcome.out)["status"], "infeasible");
    EXPECT_FALSE(fs::exists(folder_ / "none_sigma.npy"));
  }
}

TEST_F(Couple, SaysInOneLineWhatIsWrong) {
  std::ofstream(path("text.npy")) << "not an array";
  const std::string a = normal("a.npy", {6, 2}), b = normal("b.npy", {6, 2}), wide = normal("wide.npy", {6, 3}),
                    few = normal("few.npy", {4, 2}), stack = normal("stack.npy", {2, 6, 2}),
                    other = normal("other.npy", {3, 6, 2}), weights = normal("w.npy", {5});
  const std::string bad =
      write_npy("bad.npy", {2, 1}, std::array<float, 2>{1, std::numeric_limits<float>::quiet_NaN()});
  const std::string points = "couple --source " + a + " --target " + b;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"couple --json", "--source"},
      {"couple --source " + a, "--target"},
      {"couple --cost " + path("text.npy"), "text.npy"},
      {"couple --cost " + path("none.npy"), "none.npy"},
      {"couple --lap " + path("text.npy"), "text.npy"},
      {"couple --source " + a + " --target " + wide, "3"},
      {"couple --source " + bad + " --target " + bad, "nan"},
      {"couple --source " + bad + " --target " + bad + " --solver auction", "nan"},
      {"couple --source " + bad + " --target " + bad + " --solver sinkhorn", "nan"},
      {"couple --source " + stack + " --target " + stack, "--batch"},
      {"couple --batch --source " + stack + " --target " + other, "3"},
      {points + " --batch", "stack"},
      {points + " --solver magic", "--solver"},
      {points + " --regime magic", "--regime"},
      {points + " --epsilon 0.1", "--epsilon"},
      {points + " --solver sinkhorn --epsilon 0", "--epsilon"},
      {points + " --solver sinkhorn --source-weights " + weights, "--source-weights"},
      {points + " --source-weights " + weights, "--source-weights"},
      {points + " --solver auction --max-gap -1", "--max-gap"},
      {points + " --solver auction --warm-start " + weights, "--warm-start"},
      {"couple --solver sinkhorn --pairs permutation --source " + a + " --target " + few, "4"},
      {"couple --batch --plan-out " + path("p.npy") + " --source " + stack + " --target " + stack, "--plan-out"},
      {points + " --out " + path("nowhere/sigma.npy"), "nowhere"},
  };
  for (const auto& [arguments, word] : cases) expect_refused(arguments, word);
}

}  // namespace
}  // namespace otnfm::test
