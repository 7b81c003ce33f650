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

#include "engine/core/option_table.h"
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
  OptionValues own = {};  ///< by the keys of its entry's options(); the others have their defaults
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
  /// Lines for people: what of its options is other than was asked for.
  virtual std::vector<std::string> notes() const { return {}; }
  virtual CouplingState state() const { return {}; }
  /// What of the state makes pairs of new noise, to be kept with the model; none for most.
  virtual CouplingState map() const { return {}; }
};

struct CouplingEntry {
  const char* name;
  const char* about;
  bool consistent;  ///< x1 is a function of x0, or becomes one; otherwise the map learns means, and blurs
  /// InputError for options that are none, or do not go together.
  std::unique_ptr<Coupling> (*make)(const Source& source, const Dataset& target, const CouplingOptions& options);
  std::vector<OptionEntry> (*options)() = nullptr;   ///< of its own; null: none
  void (*check)(const OptionValues& own) = nullptr;  ///< InputError where they do not go together; null: they do
};

/// `make` of a CouplingEntry, for a class C.
template <class C>
std::unique_ptr<Coupling> make_coupling(const Source& source, const Dataset& target, const CouplingOptions& options) {
  return std::make_unique<C>(source, target, options);
}

std::span<const CouplingEntry> couplings();

/// The options that couplings have of their own, of all couplings: a key that several take is there once, and its help
/// says what it is for each.
const std::vector<OptionEntry>& coupling_options();

/// Those of `values` that are the coupling's.
OptionValues own_options(const CouplingEntry& coupling, const OptionValues& values);

}  // namespace otnfm
