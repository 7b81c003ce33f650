// Models of every kind of source, made in memory: weights are drawn, since a flow starts as the identity.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "engine/generate/generator.h"
#include "engine/generate/model_file.h"
#include "kernels/memory.h"

namespace otnfm::test {

inline std::vector<float> draw_values(std::mt19937_64& random, std::size_t count, float size) {
  std::normal_distribution<float> normal(0, size);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

inline Source source_of(const std::string& kind, std::int64_t d, std::mt19937_64& random) {
  const auto size = static_cast<std::size_t>(d);
  if (kind == "gaussian") return Source::gaussian(d);
  if (kind == "moons") return Source::dataset(Dataset::distribution(DistributionKind::moons));
  if (kind == "rows") return Source::dataset(Dataset::points("rows", draw_values(random, 57 * size, 1), d));
  GaussianParameters fit{
      .mean = draw_values(random, size, 1), .factor = draw_values(random, size * (size / 2 + 1), 1), .diagonal = {}};
  if (kind == "gaussian-fit-diagonal") fit.diagonal = draw_values(random, size, 0.3f);
  return Source::gaussian_fit(std::move(fit));
}

/// "SOURCE, standardised" is a flow in coordinates of its own.
inline constexpr const char* kStandardised = ", standardised";

inline Standardisation draw_standardisation(std::mt19937_64& random, std::int64_t d) {
  Standardisation result{.shift = draw_values(random, static_cast<std::size_t>(d), 3),
                         .scale = draw_values(random, static_cast<std::size_t>(d), 1)};
  for (float& scale : result.scale) scale = std::exp(scale);
  return result;
}

inline Model make_model(const nlohmann::json& flow_configuration, const std::string& source, Device device,
                        std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::unique_ptr<Flow> flow = make_flow(flow_configuration);
  const std::int64_t d = flow->dimension();
  const std::string kind = source.substr(0, source.find(','));
  if (source.ends_with(kStandardised)) {
    flow->coordinates.target = draw_standardisation(random, d);
    if (kind != "gaussian") flow->coordinates.source = draw_standardisation(random, d);
  }
  flow->parameters().allocate(device, seed, /*training=*/false);
  const View<float> weights = flow->parameters().values();
  const std::vector<float> values = draw_values(random, static_cast<std::size_t>(weights.size()), 0.2f);
  Stream stream(device);
  copy_bytes(stream, weights.data, values.data(), values.size() * sizeof(float));
  stream.synchronize();
  return Model{std::move(flow), source_of(kind, d, random), nlohmann::json::object()};
}

inline nlohmann::json small_flow(std::int64_t d, std::int64_t width = 33) {
  return {{"family", "resnet"}, {"dimension", d}, {"blocks", 2}, {"width", width}, {"depth", 2}};
}

}  // namespace otnfm::test
