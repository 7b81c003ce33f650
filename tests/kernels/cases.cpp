// Every case of tests/cases on every backend of this build: against its double reference, misaligned, padded, on a
// second run, with guard zones. The seed is fresh every time; OTNFM_TEST_SEED repeats one.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "tests/cases/placement.h"
#include "tests/cuda_at_hand.h"

#if OTNFM_SIMT
#include "simt.h"
#endif

namespace otnfm::cases {
namespace {

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* text = std::getenv("OTNFM_TEST_SEED");
    return text ? std::strtoull(text, nullptr, 10) : std::uint64_t{std::random_device{}()};
  }();
  return seed;
}

/// Largest |got - want| / max(|want|, root mean square of want). Infinite where one is NaN and the other is not.
double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  double square = 0;
  for (double w : want) square += w * w;
  const double scale = want.empty() ? 0 : std::sqrt(square / static_cast<double>(want.size()));
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i]) continue;
    const double error = std::abs(got[i] - want[i]) / std::max(std::abs(want[i]), scale);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

/// ||got - want|| / ||want||. Infinite where one is NaN and the other is not.
double norm_error(const std::vector<double>& got, const std::vector<double>& want) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(want[i])) size += want[i] * want[i];
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    difference += (got[i] - want[i]) * (got[i] - want[i]);
  }
  if (difference == 0) return 0;
  const double error = std::sqrt(difference / size);
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

class EveryCase : public testing::TestWithParam<const Case*> {};

TEST_P(EveryCase, AgreesWithItsReference) {
  const Case& c = *GetParam();
  SCOPED_TRACE("OTNFM_TEST_SEED=" + std::to_string(test_seed()));
  std::mt19937_64 random(test_seed());
  const Values inputs = random_values(c, random);
  Values want = inputs;
  c.reference(want);

  std::vector<Device> devices = {Device::cpu};
  std::string reason;
  if (cuda_available(&reason))
    devices.push_back(Device::cuda);
  else if (const char* required = std::getenv("OTNFM_REQUIRE"); required && std::string(required) == "cuda")
    FAIL() << "OTNFM_REQUIRE=cuda, but " << reason;

  Values on_cpu;
  for (Device device : devices) {
    Stream stream(device);
    for (Placement placement : {Placement::exact, Placement::misaligned, Placement::padded}) {
      SCOPED_TRACE(std::string(name_of(device)) + ", " + name_of(placement));
      const auto run = [&] {
        PlacedCase placed(stream, c, placement, inputs);
        c.run(stream, placed.buffers());
        return placed.download(stream);
      };
      const PlacedCase::Result first = run();
      EXPECT_EQ(first.damage, "") << "something was written around this buffer";
      for (const Buffer& b : c.buffers) {
        if (b.role == Role::input) {
          EXPECT_TRUE(same_bits(first.values.at(b.name), inputs.at(b.name))) << "input " << b.name << " was written";
          continue;
        }
        const double error = relative_error(first.values.at(b.name), want.at(b.name));
        EXPECT_TRUE(error <= c.tolerance)
            << "output " << b.name << ": relative error " << error << ", tolerance " << c.tolerance;
        const double whole = norm_error(first.values.at(b.name), want.at(b.name));
        EXPECT_TRUE(whole <= c.norm_tolerance)
            << "output " << b.name << ": relative error of the whole " << whole << ", tolerance " << c.norm_tolerance;
        if (c.same_on_every_backend && device != Device::cpu) {
          EXPECT_TRUE(same_bits(first.values.at(b.name), on_cpu.at(b.name))) << b.name << " differs from the CPU's";
        }
      }
      if (device == Device::cpu) on_cpu = first.values;
      if (!c.deterministic) continue;
#if OTNFM_SIMT
      simt::set_seed(random());
#endif
      const PlacedCase::Result second = run();
      for (const Buffer& b : c.buffers)
        EXPECT_TRUE(same_bits(first.values.at(b.name), second.values.at(b.name)))
            << b.name << ": a second run gives other bits";
    }
  }
}

TEST(Cases, RanOnCudaToo) {
  OTNFM_NEEDS_CUDA();
  SUCCEED();
}

TEST(Cases, AreSmallUnlessTheyAreForTheBench) {
  for (const Case& c : all()) {
    if (c.bench) continue;
    std::int64_t numbers = 0;
    for (const Buffer& b : c.buffers) {
      std::int64_t n = 1;
      for (std::int64_t size : b.shape) n *= size;
      numbers += n;
    }
    // A reference by finite differences takes the square of it.
    EXPECT_LE(numbers, 120000) << c.op << " " << c.variant << ": mark it .bench, or make it smaller";
  }
}

std::vector<const Case*> testable() {
  std::vector<const Case*> list;
  for (const Case& c : all())
    if (!c.bench) list.push_back(&c);
  return list;
}

std::string test_name(const testing::TestParamInfo<const Case*>& info) {
  std::string name = info.param->op + "_" + info.param->variant + "_" + std::to_string(info.index);
  for (char& letter : name)
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Ops, EveryCase, testing::ValuesIn(testable()), test_name);

}  // namespace
}  // namespace otnfm::cases
