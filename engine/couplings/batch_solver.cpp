#include "engine/couplings/batch_solver.h"

#include <algorithm>
#include <atomic>
#include <span>

#include "engine/core/table.h"
#include "engine/couplings/coupling.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {

std::vector<OptionWord> solver_words() {
  return words_of(transport_solvers());
}

std::vector<OptionWord> pairs_words() {
  return words_of(plan_pairs());
}

std::vector<FormerWord> former_solvers() {
  std::vector<FormerWord> former;
  const std::string sinkhorn = name_of(TransportSolver::sinkhorn);
  for (const PlanPairsEntry& entry : plan_pairs())
    former.push_back({sinkhorn + "-" + entry.name, {{"solver", sinkhorn}, {"pairs", entry.name}}});
  return former;
}

SolveOptions planner_options(const PairingOptions& names, bool one_to_one, const char* who) {
  const auto& [solver, pairs] = names;
  SolveOptions options;
  options.solver = find_by_name(transport_solvers(), solver, "solver").value;
  options.pairs = find_by_name(plan_pairs(), pairs, "pairs").value;
  options.certify = options.costs = false;
  if (options.pairs != PlanPairs::automatic && options.solver != TransportSolver::sinkhorn)
    throw InputError("pairs " + pairs + " are of solver sinkhorn, not of " + solver);
  const bool permutation = options.pairs == PlanPairs::automatic || options.pairs == PlanPairs::permutation;
  if (one_to_one && !permutation) throw InputError(std::string(who) + " is one to one: pairs " + pairs + " are not");
  return options;
}

BatchSolver::BatchSolver(const PairingOptions& options, Device device)
    : options_(planner_options(options, false, "")), stream_(device) {}

void BatchSolver::solve(View<const float> source, View<const float> target, std::uint64_t seed, std::uint64_t first,
                        View<std::int64_t> sigma) {
  if (source.rank != 3 || !same_shape(source, target) || !same_shape(sigma, {source.shape[0], source.shape[1]}))
    throw InputError("BatchSolver::solve: source and target are [S, B, d] and sigma [S, B], not " + describe(source) +
                     ", " + describe(target) + " and " + describe(sigma));
  const std::int64_t S = source.shape[0], B = source.shape[1], d = source.shape[2];
  const auto of_stack = [&](const View<const float>& stack, std::int64_t s) {
    return View<const float>(stack.data + s * B * d, {B, d});
  };
  problems_.clear();
  for (std::int64_t s = 0; s < S; ++s)
    problems_.push_back(Problem::from_points(of_stack(source, s), of_stack(target, s)));
  options_.seed = seed;
  // Some thousand points take all threads for each; fewer are solved side by side.
  constexpr std::int64_t kLong = 4096;
  const std::int64_t part = B > kLong ? 1 : std::max<std::int64_t>(1, S);
  for (std::int64_t s = 0; s < S; s += part) {
    options_.first_step = first + static_cast<std::uint64_t>(s);
    solve_part(s, std::min(part, S - s), sigma);
  }
}

void BatchSolver::solve_part(std::int64_t begin, std::int64_t count, View<std::int64_t> sigma) {
  std::atomic<bool> stopped = false;
  options_.watch = nullptr;
  if (wanted) {
    if (!wanted()) throw PairingStopped();
    options_.watch = [&](const SolveProgress&) {
      if (!wanted()) stopped.store(true);
      return !stopped.load();
    };
  }
  solutions_.resize(static_cast<std::size_t>(count));
  otnfm::solve(stream_, std::span(problems_).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)),
               options_, workspace_, solutions_);
  options_.watch = nullptr;                    // which refers to this call
  if (stopped.load()) throw PairingStopped();  // a solve that it ended has pairs that nobody may train on
  for (std::int64_t s = 0; s < count; ++s) {
    const Assignment& pairs = solutions_[static_cast<std::size_t>(s)].assignment;
    if (std::ranges::find(pairs.sigma, -1) != pairs.sigma.end())
      throw RunError(std::string("a batch was not paired: ") + name_of(pairs.status));
    std::ranges::copy(pairs.sigma, sigma.row(begin + s));
    used_ = solutions_[static_cast<std::size_t>(s)].device;
  }
}

}  // namespace otnfm
