// A generator inside a program: no allocation after prepare, the same numbers however they are asked for.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "tests/cuda_at_hand.h"
#include "tests/embedding/allocation_count.h"
#include "tests/embedding/models.h"

namespace otnfm::test {
namespace {

constexpr const char* kSources[] = {"gaussian", "moons", "rows", "gaussian-fit", "gaussian-fit-diagonal"};

std::uint64_t fresh_seed() {
  const std::uint64_t seed = std::random_device{}();
  testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

std::vector<float> sample_all(const Generator& generator, std::uint64_t seed, std::int64_t n) {
  const std::int64_t d = generator.dimension();
  std::vector<float> out(static_cast<std::size_t>(n * d), NAN);
  generator.prepare(n).sample(nullptr, seed, 0, {out.data(), {n, d}});
  return out;
}

TEST(Generator, AllocatesNothingAfterPrepare) {
  const std::uint64_t seed = fresh_seed();
  for (const char* source : kSources)
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      const Generator generator(make_model(small_flow(2), source, Device::cpu, seed), Device::cpu,
                                {.precision = precision});
      GeneratorContext context = generator.prepare(70);
      std::vector<float> out(2 * 150), noise(2 * 150, 0.5f);
      std::int64_t allocations = -1;
      // A thread that has done nothing before: what is kept for each thread must not be made by the first call.
      std::thread([&] {
        const AllocationCount counted;
        for (std::int64_t call = 0; call < 1000; ++call) {
          const std::int64_t n = call % 150;
          if (call % 5 == 4)
            context.sample(nullptr, View<const float>(View<float>(noise.data(), {n, 2})), {out.data(), {n, 2}});
          else
            context.sample(nullptr, seed, call, {out.data(), {n, 2}});
        }
        allocations = counted.count();
      }).join();
      EXPECT_EQ(allocations, 0) << source;
    }
}

TEST(Generator, TheCountSeesAllocations) {
  const AllocationCount counted;
  std::vector<float>* vector = new std::vector<float>(1000);
  void* volatile memory = std::malloc(10);
  EXPECT_GE(counted.count(), 3);
  std::free(memory);
  delete vector;
}

TEST(Generator, SamplesDoNotDependOnHowTheyAreAskedFor) {
  const std::uint64_t seed = fresh_seed();
  std::mt19937_64 random(seed);
  for (const char* source : kSources)
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      const Generator generator(make_model(small_flow(2, 67), source, Device::cpu, seed), Device::cpu,
                                {.precision = precision});
      constexpr std::int64_t kSamples = 611;
      const std::vector<float> whole = sample_all(generator, seed, kSamples);
      for (int round = 0; round < 4; ++round) {
        GeneratorContext context = generator.prepare(static_cast<std::int64_t>(1 + random() % 300));
        std::vector<float> parts(whole.size(), NAN);
        for (std::int64_t begin = 0; begin < kSamples;) {
          const std::uint64_t most = random() % 2 == 0 ? 17 : 200;  // few rows have kernels of their own
          const auto n = std::min<std::int64_t>(kSamples - begin, static_cast<std::int64_t>(1 + random() % most));
          context.sample(nullptr, seed, begin, {parts.data() + 2 * begin, {n, 2}});
          begin += n;
        }
        ASSERT_EQ(whole, parts) << source << ", seed " << seed;
      }
      std::vector<float> noise(whole.size()), mapped(whole.size());
      generator.noise(seed, 0, {noise.data(), {kSamples, 2}});
      GeneratorContext several = generator.prepare(kSamples, /*threads=*/0);
      several.sample(nullptr, View<const float>(View<float>(noise.data(), {kSamples, 2})),
                     {mapped.data(), {kSamples, 2}});
      EXPECT_EQ(whole, mapped) << source << ", noise of the host, all threads; seed " << seed;
      several.sample(nullptr, View<const float>(View<float>(noise.data(), {kSamples, 2})),
                     {noise.data(), {kSamples, 2}});
      EXPECT_EQ(whole, noise) << source << ", in place; seed " << seed;
    }
}

TEST(Generator, EightThreadsGiveWhatOneGives) {
  const std::uint64_t seed = fresh_seed();
  for (const char* source : kSources) {
    const Generator generator(make_model(small_flow(2), source, Device::cpu, seed), Device::cpu);
    constexpr std::int64_t kThreads = 8, kEach = 97;
    const std::vector<float> serial = sample_all(generator, seed, kThreads * kEach);
    std::vector<float> parallel(serial.size(), NAN);
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (std::int64_t k = 0; k < kThreads; ++k)
      threads.emplace_back([&, k] {
        GeneratorContext context = generator.prepare(16);  // together, too
        for (std::int64_t first = k * kEach; first < (k + 1) * kEach;) {
          const std::int64_t n = std::min<std::int64_t>(1 + first % 13, (k + 1) * kEach - first);
          context.sample(nullptr, seed, first, {parallel.data() + 2 * first, {n, 2}});
          first += n;
        }
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(serial, parallel) << source;
  }
}

// The same flow on a tape of its own, by the GEMM library.
std::vector<float> by_the_library(Model& model, Device device, const std::vector<float>& noise) {
  const std::int64_t d = model.dimension(), n = static_cast<std::int64_t>(noise.size()) / d;
  Stream stream(device);
  const Memory memory(device, (noise.size() + static_cast<std::size_t>(n)) * sizeof(float), "noise and time");
  const View<float> x0(reinterpret_cast<float*>(memory.data()), {n, d}), t(x0.data + n * d, {n, 1});
  const std::vector<float> ones(static_cast<std::size_t>(n), 1.0f);
  copy_bytes(stream, x0.data, noise.data(), noise.size() * sizeof(float));
  copy_bytes(stream, t.data, ones.data(), ones.size() * sizeof(float));
  Tape tape(device, Tape::Options{.training = false});
  const Tensor x1 = model.flow->forward(tape, tape.external(t), tape.external(x0));
  tape.keep(x1);
  tape.plan();
  tape.run(stream);
  std::vector<float> out(noise.size());
  copy_bytes(stream, out.data(), tape.view(x1).data, out.size() * sizeof(float));
  stream.synchronize();
  return out;
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
  double size = 0, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    size += double{a[i]} * a[i];
    error += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  }
  EXPECT_TRUE(std::sqrt(error) <= tolerance * std::sqrt(size)) << std::sqrt(error / size);
}

TEST(Generator, AgreesWithTheLibrarysProducts) {
  const std::uint64_t seed = fresh_seed();
  for (const std::int64_t d : {1, 2, 31})
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      const auto model = [&] { return make_model(small_flow(d, 65), "gaussian", Device::cpu, seed); };
      const Generator generator(model(), Device::cpu, {.precision = precision});
      std::vector<float> noise(static_cast<std::size_t>(33 * d));
      generator.noise(seed, 0, {noise.data(), {33, d}});
      Model same = model();
      same.flow->precision = precision;
      expect_near(sample_all(generator, seed, 33), by_the_library(same, Device::cpu, noise),
                  precision == Precision::bfloat16 ? 3e-3 : 3e-6);
    }
}

TEST(Generator, OnCudaTakesTheCallersStreamAndMemory) {
  OTNFM_NEEDS_CUDA();
  const std::uint64_t seed = fresh_seed();
  for (const char* source : {"gaussian", "moons", "gaussian-fit", "gaussian-fit-diagonal"}) {
    const Generator host(make_model(small_flow(2), source, Device::cpu, seed), Device::cpu);
    const Generator generator(make_model(small_flow(2), source, Device::cuda, seed), Device::cuda);
    constexpr std::int64_t kSamples = 1100;
    GeneratorContext context = generator.prepare(64);
    Stream mine(Device::cuda);
    const Memory memory(Device::cuda, 2 * kSamples * sizeof(float), "samples");
    const View<float> out(reinterpret_cast<float*>(memory.data()), {kSamples, 2});
    const auto values = [&] {
      std::vector<float> on_host(2 * kSamples);
      copy_bytes(mine, on_host.data(), memory.data(), memory.bytes());
      mine.synchronize();
      return on_host;
    };
    context.sample(mine.cuda(), seed, 0, out);
    const std::vector<float> whole = values();
    expect_near(sample_all(host, seed, kSamples), whole, 1e-5);
    zero_bytes(mine, memory.data(), memory.bytes());
    context.sample(mine.cuda(), seed, 0, out.row_slice(0, 37));
    context.sample(mine.cuda(), seed, 37, out.row_slice(37, kSamples - 37));
    EXPECT_EQ(whole, values()) << source;
  }
}

TEST(Generator, NamesWhatIsWrong) {
  const Generator generator(make_model(small_flow(2), "gaussian", Device::cpu, 1), Device::cpu);
  EXPECT_THROW(generator.prepare(0), InputError);
  EXPECT_THROW(generator.prepare(1, -1), InputError);
  GeneratorContext context = generator.prepare(4);
  std::vector<float> out(12);
  EXPECT_THROW(context.sample(nullptr, 0, 0, {out.data(), {4, 3}}), InputError);
  EXPECT_THROW(context.sample(nullptr, 0, 0, {nullptr, {4, 2}}), InputError);
  EXPECT_THROW(context.sample(nullptr, 0, -1, {out.data(), {4, 2}}), InputError);
  EXPECT_THROW(context.sample(nullptr, View<const float>(View<float>(out.data(), {3, 2})), {out.data(), {4, 2}}),
               InputError);
}

}  // namespace
}  // namespace otnfm::test
