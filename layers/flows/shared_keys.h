// The configuration keys that all families share: those of a chain of blocks made of multilayer perceptrons and phi.
// `Options` is a family's own struct, with a field for each.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/core/configuration.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {

/// Reads them. Throws what the reader throws, and InputError for an unknown activation or time function.
template <class Options>
void read_shared_keys(ConfigurationReader& reader, Options& options) {
  std::string activation = name_of(options.activation), phi = name_of(options.time_function);
  reader.ignore("family");
  reader.integer("dimension", options.dimension, 1, 1 << 20);
  reader.integer("blocks", options.blocks, 1, 1024);
  reader.integer("width", options.width, 1, 1 << 16);
  reader.integer("depth", options.depth, 0, 64);
  reader.text("activation", activation);
  reader.text("time_function", phi);
  reader.integer("fourier_terms", options.fourier_terms, 1, 1024);
  options.activation = activation_by_name(activation);
  options.time_function = time_function_by_name(phi);
}

template <class Options>
nlohmann::json shared_keys(const char* family, const Options& options) {
  return {{"family", family},
          {"dimension", options.dimension},
          {"blocks", options.blocks},
          {"width", options.width},
          {"depth", options.depth},
          {"activation", name_of(options.activation)},
          {"time_function", name_of(options.time_function)},
          {"fourier_terms", options.fourier_terms}};
}

}  // namespace otnfm
