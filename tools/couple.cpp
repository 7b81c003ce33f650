// otnfm couple: pairs two point clouds, or the rows and columns of a cost matrix, and proves how good the pairing is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>

#include "kernels/error.h"
#include "tools/command.h"
#include "tools/couple_solve.h"
#include "tools/out_of_memory.h"
#include "tools/progress.h"

namespace otnfm {
namespace {

// A plan is n m floats; beyond this it is not for looking at.
constexpr std::int64_t kMostPlanEntries = std::int64_t{1} << 26;

volatile std::sig_atomic_t interrupted = 0;

struct CoupleFlags {
  CommonFlags common;
  ProblemFlags problem;
  SolveFlags solve;
  bool no_certificate = false;
  std::string out, plan_out, sparse_plan_out, potentials_out;
};

/// [n], or of a stack [B, n].
template <class T>
void write_rows(const std::string& path, const std::vector<T>& values, std::size_t count, std::int64_t n, bool batch) {
  if (path.empty()) return;
  const auto size = static_cast<std::int64_t>(values.size()), problems = static_cast<std::int64_t>(count);
  if (!batch) return write_array(path, View<const T>(values.data(), {size}));
  if (size != problems * n) throw RunError(fmt::format("{}: {} numbers are no {} answers of {}", path, size, count, n));
  write_array(path, View<const T>(values.data(), {problems, n}));
}

void write_answers(const CoupleFlags& flags, const OpenedProblems& opened, const std::vector<Solution>& solutions) {
  std::vector<std::int64_t> sigma;
  std::vector<double> g;
  for (const Solution& solution : solutions) {
    sigma.insert(sigma.end(), solution.assignment.sigma.begin(), solution.assignment.sigma.end());
    g.insert(g.end(), solution.assignment.g.begin(), solution.assignment.g.end());
  }
  write_rows(flags.out, sigma, solutions.size(), opened.n(), flags.problem.batch);
  write_rows(flags.potentials_out, g, solutions.size(), opened.m(), flags.problem.batch);
}

/// A stack without a problem has an answer: none.
void answer_nothing(const CoupleFlags& flags, const OpenedProblems& opened) {
  if (!flags.plan_out.empty() || !flags.sparse_plan_out.empty())
    throw InputError("--plan-out and --sparse-plan-out are for one problem, and the stack holds none");
  write_answers(flags, opened, {});
  if (flags.common.json)
    print_json({{"batch", 0},
                {"n", opened.n()},
                {"m", opened.m()},
                {"solver", flags.solve.solver},
                {"primal_cost", nullptr},
                {"dual_bound", nullptr},
                {"gap", nullptr},
                {"status", "converged"},
                {"problems", nlohmann::json::array()}});
  else
    fmt::print("0 problems of {} x {}: nothing to pair\n", opened.n(), opened.m());
}

void write_plan(const std::string& path, const Problem& problem, const Solution& solution) {
  const std::vector<float> plan = dense_plan_of(problem, solution);
  write_array(path, View<const float>(plan.data(), {problem.n(), problem.m()}));
}

void write_sparse_plan(const std::string& path, const Problem& problem, const Solution& solution) {
  const std::vector<std::array<double, 3>> entries = entries_of(problem, solution);
  const double* first = entries.empty() ? nullptr : entries.front().data();
  write_array(path, View<const double>(first, {static_cast<std::int64_t>(entries.size()), 3}));
}

nlohmann::json report_of(const Problem& problem, const Solution& solution, const CoupleFlags& flags, bool is_lap) {
  const Assignment& assignment = solution.assignment;
  const Certificate& proof = assignment.certificate;
  nlohmann::json json = {{"n", problem.n()},
                         {"m", problem.m()},
                         {"d", problem.has_matrix ? nlohmann::json(nullptr) : nlohmann::json(problem.dimension())},
                         {"solver", flags.solve.solver},
                         {"regime", assignment.algorithm},
                         {"primal_cost", proof.primal_cost},
                         {"dual_bound", proof.dual_bound},
                         {"gap", proof.gap},
                         {"is_permutation", proof.is_permutation},
                         {"marginal_error", solution.marginal_error},
                         {"iterations", assignment.iterations},
                         {"seconds", assignment.seconds},
                         {"device", name_of(solution.device)},
                         {"status", name_of(assignment.status)}};
  if (is_lap) {
    // OR-Library's costs are whole, and so is their sum, which the mean in double may miss by a rounding.
    const double total = proof.primal_cost * static_cast<double>(std::min(problem.n(), problem.m()));
    json["total_cost"] = std::abs(total) < 0x1p53 ? std::round(total) : total;
  }
  if (!solution.message.empty()) json["message"] = solution.message;
  json.update(more_of(problem, solution));
  return json;
}

// A stack's answer: means of the costs, the worst gap, the sum of what was done.
nlohmann::json summary_of(const std::vector<nlohmann::json>& reports, double seconds) {
  nlohmann::json json = reports.front();
  double primal = 0, dual = 0, gap = 0, error = 0, proof = 0;
  std::int64_t iterations = 0;
  bool permutation = true;
  for (const nlohmann::json& report : reports) {
    primal += report["primal_cost"].get<double>() / static_cast<double>(reports.size());
    dual += report["dual_bound"].get<double>() / static_cast<double>(reports.size());
    const double own = report["gap"].get<double>();
    gap = gap >= own || std::isnan(gap) ? gap : own;  // NaN, where one is
    proof += report.value("certificate_seconds", 0.0);
    error = std::max(error, report["marginal_error"].get<double>());
    iterations += report["iterations"].get<std::int64_t>();
    permutation = permutation && report["is_permutation"].get<bool>();
    if (report["status"] != "converged") json["status"] = report["status"];
  }
  for (const char* own :
       {"pairs_cost", "epsilon", "transport_cost", "entropic_cost", "mass", "rounding", "entries", "pairs_one_to_one"})
    json.erase(own);
  json.update({{"batch", reports.size()},
               {"primal_cost", primal},
               {"dual_bound", dual},
               {"gap", gap},
               {"is_permutation", permutation},
               {"marginal_error", error},
               {"iterations", iterations},
               {"seconds", seconds},
               {"problems", reports}});
  if (json.contains("certificate_seconds")) json["certificate_seconds"] = proof;
  json.erase("proven_rows");
  return json;
}

void print(const nlohmann::json& json, const Problem& problem, const CoupleFlags& flags) {
  const auto number = [&](const char* key) { return json[key].get<double>(); };
  const std::string what = json.contains("batch")
                               ? fmt::format("{} problems of {}", json["batch"].get<std::int64_t>(), describe(problem))
                               : describe(problem);
  fmt::print("{}, by {} ({}) in {:.3g} s: {}\n", what, flags.solve.solver, json["regime"].get<std::string>(),
             number("seconds"), json["status"].get<std::string>());
  if (json.contains("message")) fmt::print("{}\n", json["message"].get<std::string>());
  if (std::isfinite(number("primal_cost")))
    fmt::print("mean cost {:.9g}", number("primal_cost"));
  else
    fmt::print("no cost: nothing was paired before the end");
  if (std::isfinite(number("dual_bound")))
    fmt::print(", proven lower bound {:.9g}, gap {:.3g}", number("dual_bound"), number("gap"));
  fmt::print("\n");
  if (json.contains("pairs") && json.contains("epsilon"))  // of a stack each has its own
    fmt::print("epsilon {:.4g}, marginal error {:.3g}, entropic cost {:.9g}; pairs: {}\n", json.value("epsilon", 0.0),
               number("marginal_error"), json.value("entropic_cost", 0.0), json["pairs"].get<std::string>());
  if (json.contains("entries"))
    fmt::print("{} entries, mass {:.9g}\n", json["entries"].get<std::int64_t>(), json.value("mass", 0.0));
  if (json.contains("total_cost")) fmt::print("total cost {:.9g}\n", number("total_cost"));
  for (const std::string* path : {&flags.out, &flags.plan_out, &flags.sparse_plan_out, &flags.potentials_out})
    if (!path->empty()) fmt::print("wrote {}\n", *path);
}

void couple(const CoupleFlags& flags) {
  const OpenedProblems opened(flags.problem);
  if (opened.problems().empty()) return answer_nothing(flags, opened);
  const Problem& first = opened.problems().front();
  if (!flags.plan_out.empty() &&
      (opened.problems().size() != 1 || first.m() > kMostPlanEntries / std::max<std::int64_t>(1, first.n())))
    throw InputError(fmt::format("--plan-out is for one problem of at most {} pairs, not {} of {}", kMostPlanEntries,
                                 opened.problems().size(), describe(first)));

  if (!flags.sparse_plan_out.empty() && (opened.problems().size() != 1 || flags.solve.solver == "sinkhorn"))
    throw InputError("--sparse-plan-out is for one problem and --solver exact or auction: sinkhorn's plan is dense");

  SolveFlags asked = flags.solve;
  asked.certify = !flags.no_certificate;
  asked.seed = flags.common.seed;
  asked.device = flags.common.chosen_device();
  asked.device_chosen = flags.common.device != "auto";
  std::signal(SIGINT, [](int signal) {
    interrupted = 1;
    std::signal(signal, SIG_DFL);  // a second one ends the program at once
  });
  std::vector<Solution> solutions;
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  {
    Progress progress("couple");
    memory_is_for(fmt::format("pairing {}, by {}", describe(first), asked.solver));
    solutions = solve(opened, asked, [&](const SolveProgress& at) {
      progress.running(at.unproven_rows >= 0 ? fmt::format("{}, proof: {} rows left", describe(first), at.unproven_rows)
                       : at.iterations > 0   ? fmt::format("{}, {} iterations", describe(first), at.iterations)
                                             : describe(first));
      return interrupted == 0;
    });
  }
  const double seconds = elapsed();

  const auto failed = std::ranges::find_if(solutions, [](const Solution& solution) {
    const Assignment& assignment = solution.assignment;
    return assignment.status == SolveStatus::infeasible ||
           (assignment.status == SolveStatus::numerical_failure && !assignment.certificate.is_permutation);
  });
  // Potentials that nobody computed would be read as a plan.
  const std::optional<EntropicPlan>& entropic = solutions.front().entropic;
  const bool no_plan = !flags.plan_out.empty() && entropic && !entropic->has_plan;
  const bool answered = failed == solutions.end() && !no_plan;
  if (answered) write_answers(flags, opened, solutions);
  if (answered && !flags.sparse_plan_out.empty()) write_sparse_plan(flags.sparse_plan_out, first, solutions.front());
  if (answered && !flags.plan_out.empty()) write_plan(flags.plan_out, first, solutions.front());

  std::vector<nlohmann::json> reports;
  for (std::size_t b = 0; b < solutions.size(); ++b)
    reports.push_back(report_of(opened.problems()[b], solutions[b], flags, opened.is_lap()));
  const nlohmann::json json = flags.problem.batch ? summary_of(reports, seconds) : reports.front();
  if (flags.common.json)
    print_json(json);
  else if (answered)
    print(json, first, flags);
  if (failed != solutions.end()) throw RunError(failed->message + "; nothing was written");
  if (no_plan && interrupted == 0)
    throw RunError(fmt::format("--plan-out {}: {} before there was a plan; nothing was written", flags.plan_out,
                               name_of(solutions.front().assignment.status)));
  if (interrupted != 0) {
    fmt::print(stderr, "otnfm: interrupted: {}\n",
               answered ? "what was written is the state at that moment" : "nothing was written");
    throw Interrupted();
  }
  for (const Solution& solution : solutions)
    if (solution.assignment.status == SolveStatus::numerical_failure) throw RunError(solution.message);
}

}  // namespace

void add_couple(CommandLine& program) {
  Command command =
      program.add("couple", "Pair two point clouds by optimal transport, with a proof of how good the pairing is");
  auto flags = std::make_shared<CoupleFlags>();
  ProblemFlags& problem = flags->problem;
  command.option("--source", problem.source, "points A.npy [n, d]; .csv and .npz are read too, here and below");
  command.option("--target", problem.target, "points B.npy [m, d]");
  command.option("--cost", problem.cost, "cost matrix C.npy [n, m]");
  command.option("--lap", problem.lap, "cost matrix as OR-Library text");
  command.flag("--batch", problem.batch, "the files are stacks of problems, [B, n, d] or [B, n, m]");
  command.option("--cost-function", problem.cost_function, "of points")
      .one_of({"squared-euclidean", "euclidean", "negative-dot"});
  command.option(
      "--source-weights", problem.source_weights,
      "W.npy [n]: masses of any unit, for exact (whose two sums must be the same) and sinkhorn (which scales "
      "each to sum 1, but with --marginal-penalty)");
  command.option("--target-weights", problem.target_weights, "W.npy [m]; all alike where only the others are given");

  SolveFlags& solve = flags->solve;
  command.option("--solver", solve.solver, "who pairs").one_of(solver_names());
  command.option("--regime", solve.regime,
                 "what the solver's planner would choose: for exact dense, screened or multilevel; for sinkhorn "
                 "streaming, stored, stored_16 or resident");
  command.option("--max-gap", solve.max_gap, "stop at this relative gap (auction 1e-6, sinkhorn's permutation 1e-3)")
      .at_least(0);
  command
      .option("--max-seconds", solve.max_seconds,
              "stop then, proof and all, and of a stack all problems together, with what there is: rows that are left "
              "over take what is free")
      .at_least(0);
  command.option("--max-iterations", solve.max_iterations, "augmenting paths, bids or sweeps").at_least(0);
  command.flag("--no-certificate", flags->no_certificate, "leave out the proof: one pass over all pairs less");
  command.option("--epsilon", solve.epsilon, "of sinkhorn (0.05)").positive();
  command
      .option("--epsilon-unit", solve.epsilon_unit,
              "what epsilon is a multiple of: the costs' standard deviation, their mean, or nothing")
      .one_of({"deviation", "mean", "absolute"});
  command.option("--tolerance", solve.tolerance, "of sinkhorn's marginals, L1 (1e-3)").positive();
  command
      .option("--marginal-penalty", solve.marginal_penalty, "unbalanced sinkhorn: the price of KL from the marginals")
      .positive();
  command
      .option("--pairs", solve.pairs,
              "from sinkhorn's plan: permutation, argmax (a row's largest) or sampled (by --seed)")
      .one_of(pairs_names());
  command.option("--warm-start", solve.warm_start, "G.npy [m]: column potentials of an earlier --potentials-out");

  command
      .option("--out", flags->out,
              "SIGMA.npy [n] int64, or SIGMA.csv: the column of each row (with weights: of its largest part), -1 where "
              "it is unmatched")
      .file({".npy", ".csv"});
  command.option("--potentials-out", flags->potentials_out, "G.npy [m] float64, or G.csv").file({".npy", ".csv"});
  command.option("--plan-out", flags->plan_out, "PLAN.npy [n, m] float32, or PLAN.csv, for small problems")
      .file({".npy", ".csv"});
  command
      .option(
          "--sparse-plan-out", flags->sparse_plan_out,
          "PLAN.npy [entries, 3] float64, or PLAN.csv: row, column and mass of each pair that has any (exact, auction)")
      .file({".npy", ".csv"});
  flags->common.add_device(command);
  flags->common.add_threads(command);
  flags->common.add_seed(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    couple(*flags);
  });
}

}  // namespace otnfm
