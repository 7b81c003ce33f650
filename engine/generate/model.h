// Model: a trained flow with all that is needed to sample from it.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/data/source.h"
#include "layers/flows/flow.h"

namespace otnfm {

struct Model {
  std::unique_ptr<Flow> flow;  ///< parameters().values() hold what was asked for, and are final (Flow::fix_weights)
  Source source;
  nlohmann::json configuration;  ///< the metadata's "otnfm" of model.safetensors (engine/generate/model_file.h)

  std::int64_t dimension() const { return flow->dimension(); }
  /// Of the data: [d], or [height, width, channels] of images.
  Shape sample_shape() const;
  /// "gaussian → moons", for the titles of pictures.
  std::string title() const;
};

enum class Weights { averaged, trained };

/// A model of a flow that is still trained, as it is now: a copy of its averaged weights, on the same device. `source`
/// is the raw one.
Model model_of(const Flow& flow, const Source& source, nlohmann::json configuration, Stream& stream);

}  // namespace otnfm
