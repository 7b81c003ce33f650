// Every coupling pairs images in bytes as it pairs their numbers, bit for bit, and mirror images as images that are
// written out.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/couplings/coupling.h"
#include "kernels/device/pixel.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

/// x0 and x1 of three steps.
std::vector<float> pairs_of_steps(const CouplingEntry& entry, const Dataset& data, Device device) {
  const OptionValues own = own_options(entry, {{"axes", std::int64_t{5}}});
  const CouplingOptions options{.batch = 16, .own = own, .seed = 3, .device = device};
  const Source source = open_source(NamedSource("gaussian-fit"), data);
  const std::unique_ptr<Coupling> coupling = entry.make(source, data, options);
  coupling->prepare({});
  Stream stream(device);
  const Memory counter(device, sizeof(std::uint64_t), "a step");
  Tape tape(device, {.training = false});
  const Pairs pairs = coupling->record(tape, {reinterpret_cast<std::uint64_t*>(counter.data()), {1}});
  for (const Tensor& end : {pairs.x0, pairs.x1}) tape.keep(end);
  tape.plan();
  std::vector<float> values;
  for (std::uint64_t step = 0; step < 3; ++step) {
    copy_bytes(stream, counter.data(), &step, sizeof(step));
    coupling->feed(stream, step);
    tape.run(stream);
    for (const Tensor& end : {pairs.x0, pairs.x1}) {
      const View<const float> view = tape.view(end);
      values.resize(values.size() + static_cast<std::size_t>(view.size()));
      copy_bytes(stream, values.data() + values.size() - view.size(), view.data,
                 static_cast<std::size_t>(view.size()) * sizeof(float));
      stream.synchronize();
    }
  }
  return values;
}

TEST(CouplingsOfImages, AreThoseOfTheirNumbers) {
  constexpr std::int64_t kCount = 40, kWidth = 4;
  const Shape shape = {3, kWidth, 1};
  std::mt19937 random(2);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(kCount * 12));
  for (std::uint8_t& p : pixels) p = static_cast<std::uint8_t>(random());
  std::vector<float> numbers, mirrors;
  for (const std::uint8_t p : pixels) numbers.push_back(value_of_pixel(p));
  for (std::size_t k = 0; k < numbers.size(); ++k)
    mirrors.push_back(numbers[k / kWidth * kWidth + kWidth - 1 - k % kWidth]);
  const Dataset in_bytes = Dataset::images_of_bytes("a", pixels, shape),
                as_numbers = Dataset::images("a", numbers, shape);
  std::vector<float> both = numbers;
  both.insert(both.end(), mirrors.begin(), mirrors.end());
  const Dataset written_out = Dataset::images("a", both, shape);
  for (const Device device : {Device::cpu, Device::cuda}) {
    if (device == Device::cuda && !cuda_available()) continue;
    for (const CouplingEntry& entry : couplings()) {
      SCOPED_TRACE(entry.name);
      EXPECT_EQ(pairs_of_steps(entry, in_bytes, device), pairs_of_steps(entry, as_numbers, device));
      EXPECT_EQ(pairs_of_steps(entry, in_bytes.with_mirror_images(), device),
                pairs_of_steps(entry, written_out, device));
    }
  }
}

}  // namespace
}  // namespace otnfm
