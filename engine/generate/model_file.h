// model.safetensors: a trained flow with all that is needed to sample from it. Tensors "weights/NAME" (as trained),
// "ema/NAME" (their moving average, which samples are made with) and, for a gaussian-fit, "source/mean",
// "source/factor", "source/diagonal"; of a semidiscrete coupling, "coupling/potentials" [N], in the order of the data
// or of the bank, and where its cost takes some axes only, "coupling/axes" and "coupling/mean"; and of a flow trained
// in standardised coordinates "standardise/target/shift" and "/scale" [d] and, where the source has its own,
// "standardise/source/...": u = (x - shift) / scale. All else of the source is raw; potentials and axes
// are standardised. The metadata's "otnfm" is a JSON object: {"version": 1 or, with standardised coordinates, 2,
// "data", "source", "dimension", "sample_shape": [d] or [H, W, C], "flow": {...}, "training": {...},
// "steps_done"}. Files of before have "image": [C, H, W] or null in place of "sample_shape".
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "engine/generate/model.h"
#include "engine/io/safetensors.h"

namespace otnfm {

/// Reads a model onto a device. The file is not trusted: every tensor's presence and shape is checked before anything
/// of a declared size is allocated. InputError names the file and what is wrong.
Model load_model(const SafetensorsFile& file, Device device, Weights weights = Weights::averaged);
Model load_model(const std::filesystem::path& path, Device device, Weights weights = Weights::averaged);

/// The coordinates that a file keeps for a flow of d dimensions, and how they are put beside other tensors, which refer
/// to them.
FlowCoordinates read_coordinates(const SafetensorsFile& file, std::int64_t d);
void append_coordinates(const FlowCoordinates& coordinates, std::vector<NamedTensor>& tensors);

/// Only the configuration, for `otnfm info`.
nlohmann::json read_model_configuration(const SafetensorsFile& file);

/// What a model's metadata say: `run` has "data", "training" and "steps_done", the rest is filled in here.
nlohmann::json model_configuration(const Flow& flow, const Source& source, const Dataset& data, nlohmann::json run);

/// Writes atomically; the configuration is what model_configuration() gave. `more` are tensors to be kept beside the
/// model ("coupling/NAME"), which load_model() passes over.
void save_model(const std::filesystem::path& path, const Flow& flow, const Source& source, Stream& stream,
                const nlohmann::json& configuration, std::span<const NamedTensor> more = {});

}  // namespace otnfm
