// Every family that inverts, with random weights: there and back again at every time, and its log-determinant against
// the Jacobian of the whole map.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "layers/maps/inverse.h"
#include "layers/maps/log_determinant.h"
#include "tests/layers/flows/small_flows.h"

namespace otnfm::test {
namespace {

/// Every family of the build, as it is and on demand, that says it inverts.
std::vector<nlohmann::json> invertible_configurations(std::int64_t d, std::int64_t blocks) {
  std::vector<nlohmann::json> list;
  for (const FlowFamily& family : flow_families())
    for (nlohmann::json configuration :
         {nlohmann::json({{"family", family.name}}), nlohmann::json({{"family", family.name}, {"invertible", true}})}) {
      configuration["dimension"] = d;
      configuration["blocks"] = blocks;
      configuration["width"] = 16;
      try {
        if (make_flow(configuration)->inversion() != Inversion::none) list.push_back(configuration);
      } catch (const InputError&) {  // a key that the family does not know
      }
    }
  return list;
}

/// Moderately far from the weights that a flow starts with.
void randomise(Flow& flow, Device device, std::uint64_t seed) {
  Parameters& parameters = flow.parameters();
  parameters.allocate(device, seed, /*training=*/false);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.2f);
  std::vector<float> values(static_cast<std::size_t>(parameters.values().size()));
  Stream stream(device);
  copy_bytes(stream, values.data(), parameters.values().data, values.size() * sizeof(float));
  stream.synchronize();
  for (float& value : values) value += normal(random);
  copy_bytes(stream, parameters.values().data, values.data(), values.size() * sizeof(float));
  stream.synchronize();
}

TEST(InvertibleFamilies, ComeBackAndKnowTheirDeterminant) {
  std::mt19937_64 random(std::random_device{}());
  for (const Device device : devices())
    for (const std::int64_t d : {2, 5}) {
      // A device's fixed points take minutes where its kernels run on the host.
      const bool on_cuda = device == Device::cuda;
      if (on_cuda && d > 2) continue;
      const std::vector<nlohmann::json> configurations = invertible_configurations(d, on_cuda ? 2 : 3);
      EXPECT_GE(configurations.size(), 2u);
      for (const nlohmann::json& configuration : configurations) {
        const std::unique_ptr<Flow> flow = make_flow(configuration);
        randomise(*flow, device, random());
        flow->fix_weights();
        const std::int64_t n = on_cuda ? 13 : 33;
        Points points(random, n, d);
        std::vector<float> image(points.values.size()), back(points.values.size());
        std::vector<float> matrices(static_cast<std::size_t>(n * d * d));
        const View<float> y(image.data(), {n, d}), x(back.data(), {n, d});
        Jacobian(*flow, device)(points.t(), points.x(), y, {matrices.data(), {n, d, d}});
        FlowInverse(*flow, device, 16)(points.t(), y, x);
        EXPECT_TRUE(relative_difference(x, points.x()) <= 1e-5)
            << configuration << " " << relative_difference(x, points.x());
        const LogDeterminants got = LogDeterminant(*flow, device, 64)(points.t(), points.x());
        for (std::int64_t i = 0; i < n; ++i) {
          const double want = log_abs_determinant({matrices.data() + i * d * d, {d, d}}),
                       value = got.values[static_cast<std::size_t>(i)];
          EXPECT_TRUE(std::abs(value - want) <= 1e-4 * std::max(1.0, std::abs(want)))
              << configuration << " " << value << " " << want;
        }
      }
    }
}

}  // namespace
}  // namespace otnfm::test
