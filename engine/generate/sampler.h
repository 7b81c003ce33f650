// Sampler: the way from noise to samples by a trained flow. It is recorded on a tape; what it asks of the flow there is
// counted, so that the number of network evaluations a sample (NFE) is what was done and not what was meant.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "engine/core/tape.h"
#include "kernels/memory.h"
#include "layers/flows/flow.h"

namespace otnfm {

/// Columns [rows, 1] of one time each on a device: what F's t is where all rows have the same.
class TimeColumns {
 public:
  TimeColumns(Device device, std::int64_t rows) : device_(device), rows_(rows) {}

  /// Made where it is first asked for; it stays where it is.
  View<const float> at(float t);

 private:
  Device device_;
  std::int64_t rows_;
  std::map<float, Memory> columns_;
};

/// A flow on a tape as a sampler sees it.
class FlowOnTape {
 public:
  /// The columns, of at least x's rows, must outlive the tape.
  FlowOnTape(Tape& tape, Flow& flow, TimeColumns& columns) : tape_(tape), flow_(flow), columns_(columns) {}

  /// F(t, x), x [B, d] -> [B, d]
  Tensor operator()(float t, const Tensor& x);

  /// Of the network, a row, so far.
  std::int64_t evaluations() const { return evaluations_; }

 private:
  Tape& tape_;
  Flow& flow_;
  TimeColumns& columns_;
  std::int64_t evaluations_ = 0;
};

class Sampler {
 public:
  virtual ~Sampler() = default;

  /// Those that it gives the state at, ascending, all above 0, where the state is the noise. At the last, 1, it is the
  /// sample.
  virtual std::vector<float> times() const = 0;

  /// Records the way of x0 [B, d], in the flow's coordinates: the states at times(), [B, d] each. Ops that belong to no
  /// evaluation go to the tape itself.
  virtual std::vector<Tensor> record(Tape& tape, FlowOnTape& flow, const Tensor& x0) const = 0;
};

/// F(1, x0): one evaluation.
class OneStep : public Sampler {
 public:
  std::vector<float> times() const override { return {1}; }
  std::vector<Tensor> record(Tape& tape, FlowOnTape& flow, const Tensor& x0) const override;
};

/// F(t_k, x0) at `count` times evenly from 0 to 1: the path that the flow takes its noise along. As many evaluations as
/// there are times above 0.
class FlowPath : public Sampler {
 public:
  /// InputError for fewer than 2 times.
  explicit FlowPath(std::int64_t count);
  std::vector<float> times() const override { return times_; }
  std::vector<Tensor> record(Tape& tape, FlowOnTape& flow, const Tensor& x0) const override;

 private:
  std::vector<float> times_;
};

}  // namespace otnfm
