// state.safetensors: all that a training run needs to go on bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/io/safetensors.h"
#include "engine/train/coupling.h"
#include "engine/train/options.h"
#include "layers/flow.h"

namespace otnfm {

/// Writes atomically. The weights are on the stream's device.
void save_state(const std::filesystem::path& path, const Flow& flow, const Coupling& coupling, std::uint64_t step,
                std::uint64_t data_checksum, Stream& stream, const TrainingOptions& options);

// What it holds. InputError that names the file and what is wrong.
TrainingOptions options_of_state(const SafetensorsFile& file);
CouplingState coupling_state_of(const SafetensorsFile& file);
std::uint64_t step_of(const SafetensorsFile& state);
void load_parameters(const SafetensorsFile& file, const Parameters& parameters, Stream& stream);

/// A coupling's state as tensors "coupling/NAME", which refer to it.
void append(const CouplingState& state, std::vector<NamedTensor>& tensors);

}  // namespace otnfm
