// Everything that decides what a training run computes. The same keys on the command line, in a configuration file and
// in the model file.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/core/ops.h"
#include "engine/couplings/coupling.h"
#include "engine/data/dataset.h"
#include "kernels/device/schedule.h"

namespace otnfm {

struct TrainingOptions {
  std::string data;
  double hold_out = 0;  ///< share of the data's rows that is kept for `eval` (Dataset::hold_out)
  std::string from;     ///< a model whose weights, and standardised coordinates, the run begins with; empty: none
  std::string source = "gaussian";
  std::string coupling = "global";
  std::string solver = "exact";           ///< of a minibatch, online or global coupling: ot/solve.h
  std::string pairs = "automatic";        ///< of its sinkhorn
  std::string standardise = "automatic";  ///< engine/data/standardise.h
  std::string objective = "flow-matching";
  std::string time_weighting = "uniform";
  nlohmann::json flow = {{"family", "resnet"}};  ///< as make_flow takes it; the dimension is the data's

  std::int64_t steps = 20000;
  std::int64_t batch = 256;
  std::int64_t bank =
      16384;  ///< pairs of a global coupling; data of an online or semidiscrete one where the target is endless
  std::int64_t caches = 1;  ///< noises that an online coupling keeps for each datum
  std::int64_t axes = 0;    ///< principal axes that a semidiscrete coupling's cost is taken on; 0: all
  double lr = 2e-3;
  double final_lr_fraction = 0.0;  ///< the cosine ends there
  std::int64_t warmup = 200;       ///< steps; at most a tenth of them all
  double weight_decay = 0.0;
  double clip_norm = 1.0;  ///< 0: no clipping
  double ema_decay = 0.999;
  std::string schedule = "cosine";
  std::string precision = "fp32";  ///< fp32, tf32, bf16
  std::uint64_t seed = 0;

  Schedule learning_rate_schedule() const;
  Precision matmul_precision() const;
  CouplingOptions coupling_options(Device device = Device::cpu) const;

  nlohmann::json to_json() const;
  /// Overwrites what `configuration` has keys for. InputError for unknown keys, wrong types, values out of range.
  void read(const nlohmann::json& configuration);

 private:
  void read_unchecked(const nlohmann::json& configuration);
};

/// Defaults that train a family of flows well unattended on this data: 2-D points, other points, images.
TrainingOptions default_options(const Dataset& dataset, const std::string& family = "resnet");

}  // namespace otnfm
