// state.safetensors: all that a training run needs to go on bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/io/safetensors.h"
#include "engine/io/saved_lists.h"
#include "engine/train/options.h"
#include "layers/flows/flow.h"

namespace otnfm {

/// What the lists of a coupling have in front of their names, in a state and in a model file.
inline constexpr const char* kCouplingPrefix = "coupling/";

struct RunState {
  const Flow& flow;
  SavedLists coupling, objective;
  std::uint64_t step, data_checksum;
};

/// Writes atomically. The weights are on the stream's device.
void save_state(const std::filesystem::path& path, const RunState& state, Stream& stream,
                const TrainingOptions& options);

// What it holds. InputError that names the file and what is wrong.
TrainingOptions options_of_state(const SafetensorsFile& file);
SavedLists coupling_state_of(const SafetensorsFile& file);
SavedLists objective_state_of(const SafetensorsFile& file);
std::uint64_t step_of(const SafetensorsFile& file);
std::uint64_t data_checksum_of(const SafetensorsFile& file);
void load_parameters(const SafetensorsFile& file, Parameters& parameters, Stream& stream);

}  // namespace otnfm
