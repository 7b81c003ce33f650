// Pairs the rows inside each batch of a stack, by the transport planner (ot/solve.h) on the device that trains: what
// the minibatch and the online coupling make their pairs with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/view.h"
#include "ot/solve.h"

namespace otnfm {

class BatchSolver {
 public:
  /// By the names of transport_solvers() and plan_pairs(); pairs are sinkhorn's. InputError for others, or pairs that
  /// the solver does not have.
  BatchSolver(const std::string& solver, const std::string& pairs, Device device);

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
SolveOptions pairing_options(const std::string& solver, const std::string& pairs, bool one_to_one, const char* who);

}  // namespace otnfm
