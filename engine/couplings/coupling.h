// Coupling: which noise x0 goes with which data x1 (pi in method.md). It yields the pairs of each step, knows its state
// for resume and its own statistics. The interface of all couplings.
#pragma once

#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tape.h"
#include "engine/data/source.h"
#include "engine/io/saved_lists.h"

namespace otnfm {

/// The pairs of a step: row i of x0 belongs to row i of x1. Both [B, d].
struct Pairs {
  Tensor x0, x1;
};

/// Called now and then while a coupling is prepared, with what it is doing: to show it, and to end it by returning
/// false.
using PreparationWatch = std::function<bool(const std::string& doing)>;

/// What prepare() and feed() throw where their pairs are wanted no more.
class PairingStopped : public std::exception {
 public:
  const char* what() const noexcept override { return "stopped while pairs were made"; }
};

/// What every coupling is made from.
struct CouplingOptions {
  std::int64_t batch = 256;
  std::int64_t bank =
      16384;  ///< pairs of a global coupling; data of an online or semidiscrete one where the target is endless
  std::int64_t caches = 1;       ///< noises that an online coupling keeps for each datum
  std::int64_t axes = 0;         ///< principal axes of the data that a semidiscrete coupling's cost is taken on; 0: all
  std::string solver = "exact";  ///< of the planner, ot/solve.h, and
  std::string pairs = "automatic";  ///< what its sinkhorn makes pairs from
  std::uint64_t seed = 0;
  Device device = Device::cpu;  ///< that the training runs on
  PreparationWatch watch = {};
  /// Asked now and then by whichever thread makes pairs: false where they are wanted no more.
  std::function<bool()> wanted = {};
};

/// Its costs and its quality so far.
struct CouplingStatistics {
  double seconds = 0;       ///< spent on pairing since the start of this run, by whichever thread
  double wait_seconds = 0;  ///< that steps waited for their pairs
  double mean_cost = std::numeric_limits<double>::quiet_NaN();  ///< mean ||x0 - x1||^2 of the pairs; NaN: not known
  Device device = Device::cpu;                                  ///< where pairs are made
  /// E tr Var[x1 | x0], the collapse that the loss cannot undercut; NaN: not known.
  double conditional_variance = std::numeric_limits<double>::quiet_NaN();
};

/// What has to be kept to go on bit for bit; nothing where seed and step are enough.
using CouplingState = SavedLists;

/// "the saved X" is a permutation of {0 .. size-1}, or InputError says what it is.
void check_permutation(const char* what, const std::vector<std::int64_t>& numbers, std::int64_t size);

class Coupling {
 public:
  virtual ~Coupling() = default;

  /// Work that is done once, before the first step (a global coupling solves its assignment here). `state`, if not
  /// empty, is what a former run saved. Throws InputError where it does not fit.
  virtual void prepare(const CouplingState& state) { (void)state; }

  /// Records what yields the pairs of a step on the tape. `step` is the step counter on the tape's device.
  virtual Pairs record(Tape& tape, View<const std::uint64_t> step) = 0;

  /// Called before each run of the tape, with the step that it will run: brings what the tape reads up to date.
  virtual void feed(Stream& stream, std::uint64_t step) { (void)stream, (void)step; }

  virtual CouplingStatistics statistics() const = 0;
  virtual CouplingState state() const { return {}; }
  /// What of the state makes pairs of new noise, to be kept with the model; none for most.
  virtual CouplingState map() const { return {}; }
};

struct CouplingEntry {
  const char* name;
  const char* about;
  bool consistent;  ///< x1 is a function of x0, or becomes one; otherwise the map learns means, and blurs
  bool one_to_one;  ///< its pairs are a permutation, so that those of a plan must be one
  std::unique_ptr<Coupling> (*make)(const Source& source, const Dataset& target, const CouplingOptions& options);
};

std::span<const CouplingEntry> couplings();

}  // namespace otnfm
