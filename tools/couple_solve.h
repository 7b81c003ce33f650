// The solvers that `otnfm couple` offers, behind one call.
#pragma once

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/couple_problem.h"

#include "kernels/stream.h"
#include "ot/assignment.h"
#include "ot/solve_limits.h"

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

/// A problem's answer, with what its solver adds to the common fields.
struct Pairing {
  Assignment assignment;
  std::string regime;
  Device device = Device::cpu;                      ///< that solved it
  double primal_cost = 0, dual_bound = 0, gap = 0;  ///< of the plan where it is no permutation
  double marginal_error = 0;
  std::string message;  ///< one line where the status is not converged
  nlohmann::json more = nlohmann::json::object();
  /// P_ij; null where the solve ended before there was a plan.
  std::function<double(std::int64_t, std::int64_t)> plan;
  std::vector<std::array<double, 3>> entries;  ///< row, column and mass of what is not 0, where that is few
};

/// The names of the solvers, for --help and errors.
std::vector<std::string> solver_names();

/// Throws InputError where a flag does not go with the solver or the problems.
std::vector<Pairing> solve(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch);

}  // namespace otnfm
