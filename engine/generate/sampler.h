// Sampler: the way from noise to samples by a trained flow. It is recorded on a tape; what it asks of the flow there is
// counted, so that the number of network evaluations a sample (NFE) is what was done and not what was meant.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine/core/tape.h"
#include "engine/generate/sampler_choice.h"
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

  /// Flow::velocity, of the time t and x [B, d] -> [B, d]
  Tensor velocity(float t, const Tensor& x);

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

  /// Whether its sample is F(1, x0), whose inverse and likelihood the flow may have.
  virtual bool is_map() const { return false; }

  /// What a model file says of it, which make_sampler() reads: {"method": ..., ...}. Null: no file knows it.
  virtual nlohmann::json configuration() const;
};

/// F(1, x0): one evaluation.
class OneStep : public Sampler {
 public:
  std::vector<float> times() const override { return {1}; }
  std::vector<Tensor> record(Tape& tape, FlowOnTape& flow, const Tensor& x0) const override;
  bool is_map() const override { return true; }
  nlohmann::json configuration() const override;
};

/// F(t_k, x0) at `count` times evenly from 0 to 1: the path that the flow takes its noise along. As many evaluations as
/// there are times above 0.
class FlowPath : public Sampler {
 public:
  /// InputError for fewer than 2 times.
  explicit FlowPath(std::int64_t count);
  std::vector<float> times() const override { return times_; }
  std::vector<Tensor> record(Tape& tape, FlowOnTape& flow, const Tensor& x0) const override;
  bool is_map() const override { return true; }
  nlohmann::json configuration() const override;

 private:
  std::vector<float> times_;
};

/// The solution at 1 of dx/dt = g(t, x), x(0) = x0, by steps of one size: what samples of a velocity are made by.
class Integration : public Sampler {
 public:
  enum class Method {
    euler,     ///< x + h g(t, x): an evaluation a step
    midpoint,  ///< x + h g(t + h/2, x + h/2 g(t, x)): two of them
  };

  /// `states`: at how many times the way is shown, evenly from 0 to 1, both of which count; 2 shows the end alone.
  /// InputError for fewer than 1 step or 2 states, and where steps do not divide into states - 1 parts.
  Integration(Method method, std::int64_t steps, std::int64_t states = 2);

  std::vector<float> times() const override { return times_; }
  std::vector<Tensor> record(Tape& tape, FlowOnTape& flow, const Tensor& x0) const override;
  nlohmann::json configuration() const override;

 private:
  Method method_;
  std::int64_t steps_;
  std::vector<float> times_;
};

/// The words of Integration::Method: "euler", "midpoint".
std::vector<std::string> integration_methods();

/// Of a model's configuration: its "sampler", or OneStep where it has none. InputError where it is none that there is,
/// and for a choice of steps or method where the model is a map and not a velocity. `states` as of Integration; for a
/// map FlowPath.
std::shared_ptr<const Sampler> make_sampler(const nlohmann::json& model_configuration, const SamplerChoice& choice = {},
                                            std::int64_t states = 2);

/// InputError, that begins with `what`, where the model of this configuration is a velocity and no map.
void require_map(const nlohmann::json& model_configuration, const std::string& what);

}  // namespace otnfm
