// Samplers: what they make of noise, and what it takes.
#include "engine/generate/sampler.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/generate/sampled_states.h"
#include "layers/maps/flow_map.h"
#include "tests/cuda_at_hand.h"
#include "tests/engine/api/allocation_count.h"
#include "tests/engine/api/models.h"

namespace otnfm::test {
namespace {

/// F(1, F(1/2, x0)): two steps, each an evaluation at what the one before gave.
class TwoSteps : public Sampler {
 public:
  std::vector<float> times() const override { return {0.5f, 1}; }
  std::vector<Tensor> record(Tape&, FlowOnTape& flow, const Tensor& x0) const override {
    const Tensor half = flow(0.5f, x0);
    return {half, flow(1, half)};
  }
};

std::vector<float> noise_of(const Model& model, std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n * model.dimension()));
  model.source.draw({.seed = 3, .stream = 1}, {values.data(), {n, model.dimension()}});
  return values;
}

/// F(t, x) in raw coordinates.
std::vector<float> mapped(const Model& model, Device device, float t, std::vector<float> x) {
  const std::int64_t n = std::ssize(x) / model.dimension();
  const std::vector<float> times(static_cast<std::size_t>(n), t);
  const View<float> rows(x.data(), {n, model.dimension()});
  FlowMap(*model.flow, device)({times.data(), {n, 1}}, View<const float>(rows), rows);
  return x;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(std::abs(got[i] - want[i]) <= 1e-4 * std::max(1.0f, std::abs(want[i])))
        << what << ", " << i << ": " << got[i] << " " << want[i];
}

std::vector<float> sampled(GeneratorContext& context, std::vector<float> x0, std::int64_t d) {
  const View<float> rows(x0.data(), {std::ssize(x0) / d, d});
  context.sample(nullptr, View<const float>(rows), rows);
  context.synchronize();
  return x0;
}

void check_sampler(Device device) {
  const nlohmann::json flow = small_flow(3);
  const auto model = [&](const char* source) { return make_model(flow, source, device, 5); };
  const Model plain = model("gaussian");
  const std::vector<float> x0 = noise_of(plain, 77);

  const Generator one(model("gaussian"), device),
      path(model("gaussian"), device, {.sampler = std::make_shared<FlowPath>(6)}),
      two(model("gaussian"), device, {.sampler = std::make_shared<TwoSteps>()});
  GeneratorContext in_one = one.prepare(50), by_path = path.prepare(50), in_two = two.prepare(50);
  EXPECT_EQ(in_one.nfe(), 1);
  EXPECT_EQ(by_path.nfe(), 5);
  EXPECT_EQ(in_two.nfe(), 2);
  EXPECT_EQ(sampled(by_path, x0, 3), sampled(in_one, x0, 3));  // it ends where one step does
  expect_near(sampled(in_one, x0, 3), mapped(plain, device, 1, x0), "one step");
  expect_near(sampled(in_two, x0, 3), mapped(plain, device, 1, mapped(plain, device, 0.5f, x0)), "two steps");

  for (const char* source : {"gaussian", "gaussian, standardised", "rows, standardised"}) {
    const Model of_source = model(source);
    const std::vector<float> noise = noise_of(of_source, 77);
    const FlowPath sampler(5);
    SampledStates states(*of_source.flow, sampler, device, 20);
    EXPECT_EQ(states.nfe(), 4);
    std::vector<float> way(4 * noise.size());
    states({noise.data(), {77, 3}}, {way.data(), {4, 77, 3}});
    for (std::size_t k = 0; k < 4; ++k) {
      const auto begin = way.begin() + static_cast<std::ptrdiff_t>(k * noise.size());
      expect_near({begin, begin + std::ssize(noise)}, mapped(of_source, device, sampler.times()[k], noise), source);
    }
    EXPECT_THROW(states({noise.data(), {77, 3}}, {way.data(), {5, 77, 3}}), InputError);
  }
}

TEST(Sampler, StepsAsOftenAsItSays) {
  check_sampler(Device::cpu);
}

TEST(Sampler, StepsAsOftenAsItSaysOnCuda) {
  OTNFM_NEEDS_CUDA();
  check_sampler(Device::cuda);
}

TEST(Sampler, OfSeveralStepsAllocatesNothingAfterPrepare) {
  const Generator generator(make_model(small_flow(2), "gaussian", Device::cpu, 1), Device::cpu,
                            {.sampler = std::make_shared<TwoSteps>()});
  GeneratorContext context = generator.prepare(70);
  std::vector<float> out(2 * 150);
  const AllocationCount counted;
  for (std::int64_t n = 0; n < 150; ++n) context.sample(nullptr, 1, 0, {out.data(), {n, 2}});
  EXPECT_EQ(counted.count(), 0);
}

TEST(Sampler, APathHasTwoEnds) {
  EXPECT_THROW(FlowPath(1), InputError);
  EXPECT_EQ(FlowPath(2).times(), std::vector<float>({1}));
  EXPECT_EQ(FlowPath(5).times(), std::vector<float>({0.25f, 0.5f, 0.75f, 1}));
}

}  // namespace
}  // namespace otnfm::test
