// samples.png: what a model makes, for people to look at.
#pragma once

#include <filesystem>

#include "engine/generate/generator.h"

namespace otnfm {

/// Images: a grid. Points: source, target and generated side by side, with displacement lines. Returns tr Cov of the
/// samples drawn.
double write_preview(const std::filesystem::path& path, Generator& generator, const Dataset& data, std::uint64_t seed,
                     const std::string& title);

}  // namespace otnfm
