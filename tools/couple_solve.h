// From the flags of `otnfm couple` to the planner's options (ot/solve.h), and from its answer to a report.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tools/couple_problem.h"

#include "kernels/stream.h"
#include "ot/solve.h"

namespace otnfm {

struct SolveFlags {
  std::string solver = "exact", regime = "automatic", pairs, epsilon_unit = "deviation";
  std::optional<double> epsilon, tolerance, max_gap, marginal_penalty;
  std::optional<std::int64_t> max_iterations;
  std::optional<double> max_seconds;
  bool certify = true;
  std::string warm_start;
  Device device = Device::cpu;
  bool device_chosen = false;  ///< by the user: then what it cannot do is an error; else the host does it
  std::uint64_t seed = 0;
};

/// The names of the solvers and of the pairs of a plan, for --help and errors.
std::vector<std::string> solver_names();
std::vector<std::string> pairs_names();

/// Throws InputError where a flag does not go with the solver or the problems.
std::vector<Solution> solve(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch);

/// What of a solution is its solver's own: epsilon, mass, pairs_cost and so on.
nlohmann::json more_of(const Problem& problem, const Solution& solution);

/// Row, column and mass of what is not 0 in the plan; not of sinkhorn's, which is dense.
std::vector<std::array<double, 3>> entries_of(const Problem& problem, const Solution& solution);

/// P [n, m] row by row; empty where the solve ended before there was a plan.
std::vector<float> dense_plan_of(const Problem& problem, const Solution& solution);

}  // namespace otnfm
