// What a training step is made from. An objective asks for what it needs, and only that is recorded on the tape; all of
// it is made anew at every run of the tape, a function of seed and step alone (pairs: as their coupling says).
#pragma once

#include <cstdint>
#include <optional>

#include "engine/core/ops.h"
#include "engine/couplings/coupling.h"
#include "engine/data/record_draw.h"
#include "engine/data/source.h"
#include "engine/objectives/time_weighting.h"

namespace otnfm {

class StepInputs {
 public:
  struct Options {
    std::int64_t batch = 0;
    std::uint64_t seed = 0;
    View<const std::uint64_t> step = {};  ///< the step counter on the tape's device
    const TimeWeighting* time_weighting = nullptr;
  };

  /// Source, target and what `held` receives must outlive the tape. `pairs`, where the objective needs them, are on the
  /// tape already.
  StepInputs(Tape& tape, const Source& source, const Dataset& target, std::optional<Pairs> pairs,
             const Options& options, HeldMemory& held)
      : tape_(tape), source_(source), target_(target), pairs_(pairs), options_(options), held_(held) {}

  /// B: of pairs, of noise and of data.
  std::int64_t batch() const { return options_.batch; }

  /// The step's pairs [B, d]. RunError where the objective did not say that it needs them.
  const Pairs& pairs() const;
  /// A time for each row of a batch, and its weight; the same ones at every call.
  const Times& times();
  /// Fresh noise, or data, [B, d]: another batch at every call, independent of the pairs and of each other.
  Tensor noise();
  Tensor data();
  /// For numbers of the objective's own, `stream` as of engine/train/random_streams.h.
  RandomKey key(std::uint32_t stream) const { return {.seed = options_.seed, .stream = stream, .step = options_.step}; }

 private:
  Tape& tape_;
  const Source& source_;
  const Dataset& target_;
  std::optional<Pairs> pairs_;
  Options options_;
  HeldMemory& held_;
  std::optional<Times> times_;
  std::uint32_t noises_ = 0, data_ = 0;  // batches so far
};

}  // namespace otnfm
