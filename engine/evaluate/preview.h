// samples.png: what a model makes, for people to look at.
#pragma once

#include <filesystem>

#include "engine/data/dataset.h"
#include "engine/generate/generator.h"

namespace otnfm {

/// Images: a grid of 100. Points: 4,096 of source, target and generated side by side, with displacement lines. Returns
/// tr Cov of the samples drawn, in the flow's coordinates (Flow::coordinates).
double write_preview(const std::filesystem::path& path, const Generator& generator, const Dataset& data,
                     std::uint64_t seed, const std::string& title);

/// Draws `count` samples in a row and below each its nearest point of the data, which a memorised sample would equal.
/// Throws InputError where the data are no images or not of the model's dimension.
void write_neighbours(const std::filesystem::path& path, const Generator& generator, const Dataset& data,
                      std::uint64_t seed, std::int64_t count = 12);

}  // namespace otnfm
