// Everything that decides what a training run computes. The same keys on the command line, in a configuration file and
// in the model file: all of them, and --help, are made from one table (options.cpp). What a coupling takes of its own
// is in the coupling's file.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/core/ops.h"
#include "engine/core/option_table.h"
#include "engine/couplings/coupling.h"
#include "engine/data/dataset.h"
#include "kernels/device/schedule.h"

namespace otnfm {

struct TrainingOptions {
  std::string data;
  std::string source = "gaussian";
  std::string coupling = "global";
  OptionValues of_couplings = coupling_defaults();  ///< of all couplings, by the keys of coupling_options()
  nlohmann::json flow = {{"family", "resnet"}};     ///< as make_flow takes it; the dimension is the data's
  std::string standardise = "automatic";            ///< engine/data/standardise.h
  std::string objective = "flow-matching";
  std::string time_weighting = "uniform";

  std::int64_t steps = 20000;
  std::int64_t batch = 256;
  double lr = 2e-3;
  double final_lr_fraction = 0.0;  ///< the cosine ends there
  std::int64_t warmup = 200;       ///< steps; at most a tenth of them all
  std::string schedule = "cosine";
  double weight_decay = 0.0;
  double beta2 = 0.999;
  double clip_norm = 1.0;  ///< 0: no clipping
  double ema_decay = 0.999;
  Precision precision = Precision::float32;
  std::string from;     ///< a model whose weights, and standardised coordinates, the run begins with; empty: none
  bool flip = false;    ///< the data are the images and their mirror images (Dataset::with_mirror_images)
  double hold_out = 0;  ///< share of the data's rows that is kept for `eval` (Dataset::hold_out)
  std::uint64_t seed = 0;

  Schedule learning_rate_schedule() const;
  /// Of the coupling that `coupling` names.
  CouplingOptions coupling_options(Device device = Device::cpu) const;

  nlohmann::json to_json() const;
  /// Overwrites what `configuration` has keys for. InputError for unknown keys, wrong types, values out of range.
  /// `names`: how errors name an option.
  void read(const nlohmann::json& configuration, OptionNames names = OptionNames::keys);

 private:
  static OptionValues coupling_defaults();
};

/// Every option, in the order of --help: the training's, and behind `coupling` those of the couplings. The value of
/// "flow" is its family.
const std::vector<OptionEntry>& training_entries();

/// What --help says of an option: its help, its defaults by data and family, its range, its words.
std::string help_of(const OptionEntry& entry);

DataKind kind_of(const Dataset& dataset);

/// Defaults that train a family of flows well unattended on such data. InputError for a family that there is not.
TrainingOptions default_options(DataKind kind, const std::string& family = "resnet");
TrainingOptions default_options(const Dataset& dataset, const std::string& family = "resnet");

}  // namespace otnfm
