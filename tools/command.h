// What the commands of `otnfm` share: their common flags, and how each adds itself to the program.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "kernels/stream.h"

namespace otnfm {

/// --device, --seed and --json, which most commands have.
struct CommonFlags {
  std::string device = "auto";
  std::uint64_t seed = 0;
  bool json = false;

  void add_device(CLI::App& command);
  void add_seed(CLI::App& command);
  void add_json(CLI::App& command);

  /// auto is cuda where a GPU answers, else cpu. RunError where cuda was asked for and does not.
  Device chosen_device() const;
};

// Each adds a command whose callback does the work. Errors are thrown: main() prints them and chooses the exit code.
void add_train(CLI::App& program);
void add_sample(CLI::App& program);
void add_eval(CLI::App& program);
void add_couple(CLI::App& program);
void add_invert(CLI::App& program);
void add_map(CLI::App& program);
void add_info(CLI::App& program);

}  // namespace otnfm
