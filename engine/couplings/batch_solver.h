// Pairs the rows inside each batch of a stack, by the transport planner (ot/solve.h) on the device that trains: what
// the minibatch and the online coupling make their pairs with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/core/option_table.h"
#include "kernels/view.h"
#include "ot/solve.h"

namespace otnfm {

/// The options of every coupling that has the planner pair: names of transport_solvers() and of plan_pairs().
struct PairingOptions {
  std::string solver = "exact";
  std::string pairs = "automatic";  ///< of its sinkhorn
};

std::vector<OptionWord> solver_words();
std::vector<OptionWord> pairs_words();
/// How models of versions before 0.2 name sinkhorn and its pairs: "sinkhorn-argmax".
std::vector<FormerWord> former_solvers();

template <class Options>
constexpr OptionField<Options> solver_field() {
  return {.key = "solver",
          .member = &PairingOptions::solver,
          .help = "who pairs",
          .words = solver_words,
          .former = former_solvers};
}

/// `one_to_one`: its pairs are a permutation, so that those of a plan must be one.
template <class Options>
constexpr OptionField<Options> pairs_field(bool one_to_one) {
  return {.key = "pairs",
          .member = &PairingOptions::pairs,
          .help = one_to_one ? "a permutation of sinkhorn's plan, automatic or permutation"
                             : "what it takes from sinkhorn's plan",
          .words = pairs_words};
}

class BatchSolver {
 public:
  /// InputError for names that there are not, or pairs that the solver does not have.
  BatchSolver(const PairingOptions& options, Device device);

  /// sigma(s, i) is the row of target s that row i of source s goes with, by squared Euclidean cost. source, target
  /// [S, B, d], sigma [S, B]. Random choices are a function of (seed, first + s) alone. InputError for points that are
  /// not finite, RunError where a solver gave up, PairingStopped soon after `wanted` has said no.
  void solve(View<const float> source, View<const float> target, std::uint64_t seed, std::uint64_t first,
             View<std::int64_t> sigma);

  /// Where the last solve was done.
  Device device() const { return used_; }

  /// Asked now and then; where it is false, solve() throws PairingStopped. Null: not asked.
  std::function<bool()> wanted = {};

 private:
  void solve_part(std::int64_t begin, std::int64_t count, View<std::int64_t> sigma);

  SolveOptions options_;
  Stream stream_;
  SolveWorkspace workspace_;
  std::vector<Problem> problems_;
  std::vector<Solution> solutions_;
  Device used_ = Device::cpu;
};

/// The planner's options for these names. `one_to_one`: InputError for pairs that are none. `who` begins the message.
SolveOptions planner_options(const PairingOptions& options, bool one_to_one, const char* who);

}  // namespace otnfm
