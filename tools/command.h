// What the commands of `otnfm` share: their common flags, and how each adds itself to the program.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/generate/sampler_choice.h"
#include "kernels/stream.h"
#include "tools/command_line.h"

namespace otnfm {

/// --device, --threads, --seed and --json, which most commands have.
struct CommonFlags {
  std::string device = "auto";
  int threads = 0;
  std::uint64_t seed = 0;
  bool json = false;

  void add_device(Command& command);
  void add_threads(Command& command);
  void add_seed(Command& command);
  void add_json(Command& command);

  /// From here on the program takes --threads threads at most.
  void use_threads() const;

  /// auto is cuda where a GPU answers, else cpu. RunError where cuda was asked for and does not.
  Device chosen_device() const;
};

/// --sampler and --steps-per-sample of a model that is a velocity.
struct SamplerFlags {
  SamplerChoice choice = {};

  void add(Command& command);
};

/// One line on stdout. Bytes of a path that are not UTF-8, which JSON cannot hold, become U+FFFD.
void print_json(const nlohmann::json& object);

/// "one network evaluation", "20 network evaluations"
std::string evaluations_text(std::int64_t count);

/// Thrown where a signal has ended a command that has said so itself: exit code 130.
struct Interrupted {};

// Each adds a command whose callback does the work. Errors are thrown: main() prints them and chooses the exit code.
void add_train(CommandLine& program);
void add_sample(CommandLine& program);
void add_eval(CommandLine& program);
void add_features(CommandLine& program);
void add_couple(CommandLine& program);
void add_invert(CommandLine& program);
void add_map(CommandLine& program);
void add_info(CommandLine& program);

}  // namespace otnfm
