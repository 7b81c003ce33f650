#include "tools/couple_solve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/core/table.h"
#include "engine/io/array_file.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

void refuse(bool given, const char* flag, const SolveFlags& flags, const char* goes_with) {
  if (given) throw InputError(fmt::format("{} goes with --solver {}, not with {}", flag, goes_with, flags.solver));
}

// What belongs to another solver, by the name that it was given by.
void check_flags(const SolveFlags& flags, const OpenedProblems& opened) {
  if (flags.solver != "sinkhorn") {
    refuse(flags.epsilon.has_value(), "--epsilon", flags, "sinkhorn");
    refuse(flags.tolerance.has_value(), "--tolerance", flags, "sinkhorn");
    refuse(flags.marginal_penalty.has_value(), "--marginal-penalty", flags, "sinkhorn");
    refuse(!flags.pairs.empty(), "--pairs", flags, "sinkhorn");
  } else {
    refuse(!flags.certify, "--no-certificate", flags, "exact or auction");
  }
  const std::vector<std::string> regimes = regimes_of(find_by_name(transport_solvers(), flags.solver, "solver").value);
  if (regimes.size() > 1 && std::ranges::find(regimes, flags.regime) == regimes.end())
    throw InputError(
        fmt::format("--regime {}: --solver {} has {}", flags.regime, flags.solver, fmt::join(regimes, ", ")));
  const bool weighted = !opened.source_weights().empty() || !opened.target_weights().empty();
  if (flags.solver == "exact" && weighted && flags.regime != "automatic")
    throw InputError(fmt::format("--regime {}: --solver exact has none for weighted points", flags.regime));
  if (flags.solver == "exact") refuse(!flags.warm_start.empty(), "--warm-start", flags, "auction or sinkhorn");
  if (flags.solver == "auction") {
    refuse(!opened.source_weights().empty(), "--source-weights", flags, "exact or sinkhorn");
    refuse(!opened.target_weights().empty(), "--target-weights", flags, "exact or sinkhorn");
    refuse(flags.regime != "automatic", "--regime", flags, "exact or sinkhorn");
  }
}

std::vector<double> read_warm_start(const std::string& path, const OpenedProblems& opened) {
  if (path.empty()) return {};
  const std::int64_t columns = opened.problems().front().m();
  std::vector<double> potentials = read_vector(path);
  if (static_cast<std::int64_t>(potentials.size()) != columns)
    throw InputError(fmt::format("--warm-start {}: holds {} numbers, wanted {}, a potential a column", path,
                                 potentials.size(), columns));
  return potentials;
}

EpsilonUnit unit_of(const std::string& name) {
  if (name == "deviation") return EpsilonUnit::standard_deviation;
  if (name == "mean") return EpsilonUnit::mean_cost;
  if (name == "absolute") return EpsilonUnit::absolute;
  throw InputError("--epsilon-unit " + name + ": wanted deviation, mean or absolute");
}

}  // namespace

std::vector<std::string> solver_names() {
  std::vector<std::string> names;
  for (const TransportSolverEntry& entry : transport_solvers()) names.emplace_back(entry.name);
  return names;
}

std::vector<std::string> pairs_names() {
  std::vector<std::string> names;
  for (const PlanPairsEntry& entry : plan_pairs())
    if (entry.value != PlanPairs::automatic) names.emplace_back(entry.name);
  return names;
}

std::vector<Solution> solve(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch) {
  SolveOptions options;
  options.solver = find_by_name(transport_solvers(), flags.solver, "solver").value;
  check_flags(flags, opened);
  const std::vector<double> warm_start = read_warm_start(flags.warm_start, opened);
  options.regime = flags.regime;
  options.certify = flags.certify;
  if (flags.max_seconds) options.max_seconds = *flags.max_seconds;
  if (flags.max_iterations) options.max_iterations = *flags.max_iterations;
  options.watch = watch;
  options.max_gap = flags.max_gap;
  options.warm_start = warm_start;
  options.source_weights = opened.source_weights();
  options.target_weights = opened.target_weights();
  options.require_device = flags.device_chosen && flags.device == Device::cuda;
  if (flags.epsilon) options.epsilon = *flags.epsilon;
  options.unit = unit_of(flags.epsilon_unit);
  if (flags.tolerance) options.tolerance = *flags.tolerance;
  if (flags.marginal_penalty) options.marginal_penalty = *flags.marginal_penalty;
  if (!flags.pairs.empty()) options.pairs = find_by_name(plan_pairs(), flags.pairs, "pairs").value;
  options.seed = flags.seed;
  Stream stream(flags.device);
  SolveWorkspace workspace;
  std::vector<Solution> solutions(opened.problems().size());
  solve(stream, opened.problems(), options, workspace, solutions);
  return solutions;
}

nlohmann::json more_of(const Problem& problem, const Solution& solution) {
  nlohmann::json more = nlohmann::json::object();
  const Certificate& proof = solution.assignment.certificate;
  const bool of_plan = solution.entropic && solution.entropic->pairs != PlanPairs::permutation;
  if (!solution.entropic || (solution.entropic->has_plan && !of_plan)) {
    more["certificate_seconds"] = solution.certified ? proof.seconds : 0;
    if (solution.certified && !solution.weighted && proof.proven_rows < problem.n())
      more["proven_rows"] = proof.proven_rows;
  }
  if (solution.weighted) {
    more["mass"] = solution.weighted->mass;
    more["entries"] = solution.weighted->entries.size();
  }
  if (!solution.entropic) return more;
  const EntropicPlan& entropic = *solution.entropic;
  more["epsilon"] = entropic.epsilon;
  if (of_plan && solution.assignment.status != SolveStatus::numerical_failure) {
    more["pairs_cost"] = entropic.pairs_cost;
    more["pairs_one_to_one"] = proof.is_permutation;
  }
  if (solution.assignment.status == SolveStatus::numerical_failure && !entropic.has_plan) return more;
  more["pairs"] = name_of(entropic.pairs);
  more["transport_cost"] = entropic.transport_cost;
  more["entropic_cost"] = entropic.entropic_cost;
  more["mass"] = entropic.mass;
  more["rounding"] = entropic.rounding;
  return more;
}

std::vector<std::array<double, 3>> entries_of(const Problem& problem, const Solution& solution) {
  std::vector<std::array<double, 3>> entries;
  if (solution.weighted) {
    for (const PlanEntry& entry : solution.weighted->entries)
      entries.push_back({static_cast<double>(entry.row), static_cast<double>(entry.column), entry.mass});
    return entries;
  }
  const std::vector<std::int64_t>& sigma = solution.assignment.sigma;
  const double mass = 1 / static_cast<double>(std::min(problem.n(), problem.m()));
  for (std::size_t i = 0; i < sigma.size(); ++i)
    if (sigma[i] >= 0) entries.push_back({static_cast<double>(i), static_cast<double>(sigma[i]), mass});
  return entries;
}

std::vector<float> dense_plan_of(const Problem& problem, const Solution& solution) {
  const std::int64_t n = problem.n(), m = problem.m();
  if (solution.entropic && !solution.entropic->has_plan) return {};
  std::vector<float> plan(static_cast<std::size_t>(n * m));
  if (solution.entropic) {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < m; ++j)
        plan[static_cast<std::size_t>(i * m + j)] = static_cast<float>((*solution.entropic->plan)(i, j));
    return plan;
  }
  for (const auto& [row, column, mass] : entries_of(problem, solution))
    plan[static_cast<std::size_t>(row) * static_cast<std::size_t>(m) + static_cast<std::size_t>(column)] =
        static_cast<float>(mass);
  return plan;
}

}  // namespace otnfm
