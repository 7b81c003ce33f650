// A generator inside a program: no allocation after prepare, the same numbers however they are asked for.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/generate/log_likelihood.h"
#include "tests/cuda_at_hand.h"
#include "tests/engine/api/allocation_count.h"
#include "tests/engine/api/models.h"

namespace otnfm::test {
namespace {

constexpr const char* kSources[] = {"gaussian",
                                    "moons",
                                    "rows",
                                    "gaussian-fit",
                                    "gaussian-fit-diagonal",
                                    "gaussian, standardised",
                                    "rows, standardised",
                                    "gaussian-fit-diagonal, standardised"};

const nlohmann::json kClosedForm[] = {
    {{"family", "coupling"}, {"dimension", 2}, {"blocks", 3}, {"width", 19}, {"depth", 2}},
    {{"family", "coupling"}, {"dimension", 7}, {"blocks", 2}, {"width", 33}, {"depth", 1}},
    {{"family", "coupling-spline"}, {"dimension", 5}, {"blocks", 2}, {"width", 17}, {"depth", 2}}};
const nlohmann::json kFixedPoint[] = {
    {{"family", "gru"}, {"dimension", 3}, {"blocks", 2}, {"width", 17}, {"depth", 1}},
    {{"family", "resnet"}, {"dimension", 2}, {"blocks", 2}, {"width", 17}, {"depth", 1}, {"invertible", true}}};

/// Of every source with the free flow, and of every other family.
struct Kind {
  nlohmann::json flow;
  const char* source;
};
std::vector<Kind> kinds(std::int64_t width) {
  std::vector<Kind> list;
  for (const char* source : kSources) list.push_back({small_flow(2, width), source});
  for (const nlohmann::json& flow : kClosedForm) list.push_back({flow, "gaussian"});
  for (const nlohmann::json& flow : kFixedPoint) list.push_back({flow, "gaussian"});
  return list;
}

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
  for (const auto& [flow, source] : kinds(33))
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      const Generator generator(make_model(flow, source, Device::cpu, seed), Device::cpu, {.precision = precision});
      GeneratorContext context = generator.prepare(70);
      const std::int64_t d = generator.dimension();
      std::vector<float> out(static_cast<std::size_t>(d * 150)), noise(out.size(), 0.5f);
      std::int64_t allocations = -1;
      // A thread that has done nothing before: what is kept for each thread must not be made by the first call.
      std::thread([&] {
        const AllocationCount counted;
        for (std::int64_t call = 0; call < 1000; ++call) {
          const std::int64_t n = call % 150;
          if (call % 5 == 4)
            context.sample(nullptr, View<const float>(noise.data(), {n, d}), {out.data(), {n, d}});
          else
            context.sample(nullptr, seed, call, {out.data(), {n, d}});
        }
        allocations = counted.count();
      }).join();
      EXPECT_EQ(allocations, 0) << flow << source;
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
  for (const auto& [flow, source] : kinds(67))
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      const Generator generator(make_model(flow, source, Device::cpu, seed), Device::cpu, {.precision = precision});
      const std::int64_t d = generator.dimension();
      constexpr std::int64_t kSamples = 611;
      const std::vector<float> whole = sample_all(generator, seed, kSamples);
      for (int round = 0; round < 4; ++round) {
        GeneratorContext context = generator.prepare(static_cast<std::int64_t>(1 + random() % 300));
        std::vector<float> parts(whole.size(), NAN);
        for (std::int64_t begin = 0; begin < kSamples;) {
          const std::uint64_t most = random() % 2 == 0 ? 17 : 200;  // few rows have kernels of their own
          const auto n = std::min<std::int64_t>(kSamples - begin, static_cast<std::int64_t>(1 + random() % most));
          context.sample(nullptr, seed, begin, {parts.data() + d * begin, {n, d}});
          begin += n;
        }
        ASSERT_EQ(whole, parts) << flow << source << ", seed " << seed;
      }
      std::vector<float> noise(whole.size()), mapped(whole.size());
      generator.noise(seed, 0, {noise.data(), {kSamples, d}});
      GeneratorContext several = generator.prepare(kSamples, {.threads = 0});
      several.sample(nullptr, View<const float>(noise.data(), {kSamples, d}), {mapped.data(), {kSamples, d}});
      EXPECT_EQ(whole, mapped) << flow << source << ", noise of the host, all threads; seed " << seed;
      several.sample(nullptr, View<const float>(noise.data(), {kSamples, d}), {noise.data(), {kSamples, d}});
      EXPECT_EQ(whole, noise) << flow << source << ", in place; seed " << seed;
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
  for (const char* source :
       {"gaussian", "moons", "gaussian-fit", "gaussian-fit-diagonal", "gaussian-fit, standardised"}) {
    const Generator host(make_model(small_flow(2), source, Device::cpu, seed), Device::cpu);
    const Generator generator(make_model(small_flow(2), source, Device::cuda, seed), Device::cuda);
    constexpr std::int64_t kSamples = 2100;  // a pass of 1,024 rows and one of 4,096
    GeneratorContext context = generator.prepare(kSamples);
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
    context.sample(mine.cuda(), seed, 37, out.row_slice(37, 500));
    context.sample(mine.cuda(), seed, 537, out.row_slice(537, kSamples - 537));
    EXPECT_EQ(whole, values()) << source;
  }
}

TEST(Generator, NamesWhatIsWrong) {
  const Generator generator(make_model(small_flow(2), "gaussian", Device::cpu, 1), Device::cpu);
  EXPECT_THROW(generator.prepare(0), InputError);
  EXPECT_THROW(generator.prepare(1, {.threads = -1}), InputError);
  GeneratorContext context = generator.prepare(4);
  std::vector<float> out(12);
  EXPECT_THROW(context.sample(nullptr, 0, 0, {out.data(), {4, 3}}), InputError);
  EXPECT_THROW(context.sample(nullptr, 0, 0, {nullptr, {4, 2}}), InputError);
  EXPECT_THROW(context.sample(nullptr, 0, -1, {out.data(), {4, 2}}), InputError);
  EXPECT_THROW(context.sample(nullptr, View<const float>(View<float>(out.data(), {3, 2})), {out.data(), {4, 2}}),
               InputError);
}

// --- The way back

TEST(Generator, TheWayBackAllocatesNothingWhereItIsInClosedForm) {
  const std::uint64_t seed = fresh_seed();
  for (const nlohmann::json& flow : kClosedForm)
    for (const char* source : {"gaussian", "gaussian-fit-diagonal", "gaussian-fit-diagonal, standardised"}) {
      const Generator generator(make_model(flow, source, Device::cpu, seed), Device::cpu);
      GeneratorContext context = generator.prepare(70, {.inverse = true, .log_prob = true});
      const std::int64_t d = generator.dimension();
      std::vector<float> out(static_cast<std::size_t>(150 * d)), data = sample_all(generator, seed, 150), nats(150);
      std::int64_t allocations = -1;
      std::thread([&] {
        const AllocationCount counted;
        for (std::int64_t call = 0; call < 1000; ++call) {
          const std::int64_t n = call % 150;
          const View<const float> y(data.data(), {n, d});
          if (call % 2 == 0)
            context.inverse(nullptr, y, {out.data(), {n, d}});
          else
            context.log_prob(nullptr, y, {nats.data(), {n}});
        }
        allocations = counted.count();
      }).join();
      EXPECT_EQ(allocations, 0) << flow << source;
    }
}

/// Of every sample of a seed: its noise again, and its likelihood against LogLikelihood's, in whatever parts.
void expect_the_way_back(const nlohmann::json& flow, const char* source, std::uint64_t seed, bool same_bits) {
  constexpr std::int64_t kSamples = 301;
  const Generator generator(make_model(flow, source, Device::cpu, seed), Device::cpu);
  const std::int64_t d = generator.dimension();
  const std::vector<float> data = sample_all(generator, seed, kSamples);
  const View<const float> y(data.data(), {kSamples, d});
  std::vector<float> noise(data.size()), back(data.size(), NAN), nats(kSamples, NAN);
  generator.noise(seed, 0, {noise.data(), {kSamples, d}});
  GeneratorContext context = generator.prepare(kSamples, {.threads = 0, .inverse = true, .log_prob = true});
  context.inverse(nullptr, y, {back.data(), {kSamples, d}});
  context.log_prob(nullptr, y, {nats.data(), {kSamples}});
  expect_near(back, noise, 1e-4);
  const std::vector<double> wanted = LogLikelihood(generator.model(), Device::cpu)(y).values;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    ASSERT_TRUE(std::fabs(nats[i] - wanted[i]) <= 2e-3 * (1 + std::fabs(wanted[i]))) << nats[i] << " " << wanted[i];

  std::mt19937_64 random(seed);
  GeneratorContext small =
      generator.prepare(static_cast<std::int64_t>(1 + random() % 90), {.inverse = true, .log_prob = true});
  std::vector<float> parts(data.size(), NAN), part_nats(kSamples, NAN);
  for (std::int64_t begin = 0; begin < kSamples;) {
    const auto n = std::min<std::int64_t>(kSamples - begin, static_cast<std::int64_t>(1 + random() % 70));
    small.inverse(nullptr, y.row_slice(begin, n), {parts.data() + begin * d, {n, d}});
    small.log_prob(nullptr, y.row_slice(begin, n), {part_nats.data() + begin, {n}});
    begin += n;
  }
  if (same_bits) {
    EXPECT_EQ(back, parts);
    EXPECT_EQ(nats, part_nats);
    return;
  }
  expect_near(parts, back, 1e-5);
  expect_near(part_nats, nats, 1e-4);
}

TEST(Generator, TheWayBackLeadsBack) {
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  for (const char* source : {"gaussian", "gaussian-fit-diagonal", "gaussian-fit-diagonal, standardised"}) {
    for (const nlohmann::json& flow : kClosedForm) expect_the_way_back(flow, source, seed, /*same_bits=*/true);
    for (const nlohmann::json& flow : kFixedPoint) expect_the_way_back(flow, source, seed, /*same_bits=*/false);
  }
}

TEST(Generator, EightThreadsGoBackAsOneDoes) {
  const std::uint64_t seed = fresh_seed();
  constexpr std::int64_t kThreads = 8, kRows = 23;
  const auto way_back = [&](const Generator& generator, const std::vector<float>& data) {
    GeneratorContext context = generator.prepare(kRows, {.inverse = true, .log_prob = true});
    const std::int64_t d = generator.dimension();
    std::vector<float> result(static_cast<std::size_t>(kRows * (d + 1)), NAN);
    const View<const float> y(data.data(), {kRows, d});
    context.inverse(nullptr, y, {result.data(), {kRows, d}});
    context.log_prob(nullptr, y, {result.data() + kRows * d, {kRows}});
    return result;
  };
  for (const nlohmann::json& flow : {kClosedForm[0], kClosedForm[2], kFixedPoint[0], kFixedPoint[1]}) {
    const Generator generator(make_model(flow, "gaussian", Device::cpu, seed), Device::cpu);
    const std::vector<float> data = sample_all(generator, seed, kRows), serial = way_back(generator, data);
    std::vector<std::vector<float>> results(kThreads);
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (std::size_t k = 0; k < kThreads; ++k) threads.emplace_back([&, k] { results[k] = way_back(generator, data); });
    for (std::thread& thread : threads) thread.join();
    for (const std::vector<float>& result : results) EXPECT_EQ(result, serial) << flow;
  }
}

TEST(Generator, OnCudaTheWayBackIsTheCpus) {
  OTNFM_NEEDS_CUDA();
  const std::uint64_t seed = fresh_seed();
  SCOPED_TRACE(seed);
  constexpr std::int64_t kRows = 37;
  for (const nlohmann::json& flow : {kClosedForm[0], kClosedForm[2], kFixedPoint[0]}) {
    const char* source = flow == kClosedForm[0] ? "gaussian-fit-diagonal" : "gaussian-fit-diagonal, standardised";
    const Generator host(make_model(flow, source, Device::cpu, seed), Device::cpu);
    const Generator generator(make_model(flow, source, Device::cuda, seed), Device::cuda);
    const std::int64_t d = host.dimension(), size = kRows * d;
    const std::vector<float> data = sample_all(host, seed, kRows);
    std::vector<float> wanted(data.size()), wanted_nats(kRows), got(data.size()), got_nats(kRows);
    GeneratorContext on_host = host.prepare(kRows, {.inverse = true, .log_prob = true});
    on_host.inverse(nullptr, View<const float>(data.data(), {kRows, d}), {wanted.data(), {kRows, d}});
    on_host.log_prob(nullptr, View<const float>(data.data(), {kRows, d}), {wanted_nats.data(), {kRows}});

    Stream mine(Device::cuda);
    const Memory memory(Device::cuda, static_cast<std::size_t>(2 * size + kRows) * sizeof(float), "rows");
    float* there = reinterpret_cast<float*>(memory.data());
    copy_bytes(mine, there, data.data(), data.size() * sizeof(float));
    // By a fixed point the Jacobians' batches would take minutes under simt.
    const bool likelihood = flow != kFixedPoint[0];
    GeneratorContext context = generator.prepare(kRows, {.inverse = true, .log_prob = likelihood});
    context.inverse(mine.cuda(), View<const float>(there, {kRows, d}), {there + size, {kRows, d}});
    if (likelihood) context.log_prob(mine.cuda(), View<const float>(there, {kRows, d}), {there + 2 * size, {kRows}});
    copy_bytes(mine, got.data(), there + size, got.size() * sizeof(float));
    copy_bytes(mine, got_nats.data(), there + 2 * size, got_nats.size() * sizeof(float));
    mine.synchronize();
    expect_near(got, wanted, 1e-4);
    if (likelihood) expect_near(got_nats, wanted_nats, 1e-4);
  }
}

TEST(Generator, NamesWhatHasNoWayBack) {
  const auto why = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const InputError& error) {
      return error.what();
    }
    return "nothing was wrong";
  };
  const auto has = [](const std::string& text, const std::string& word) {
    return text.find(word) != std::string::npos;
  };
  const Generator free(make_model(small_flow(2), "gaussian", Device::cpu, 1), Device::cpu);
  EXPECT_PRED2(has, why([&] { free.prepare(4, {.inverse = true}); }), "families that are");
  EXPECT_PRED2(has, why([&] { free.prepare(4, {.log_prob = true}); }), "families that are");
  const Generator rows(make_model(kClosedForm[0], "rows", Device::cpu, 1), Device::cpu);
  EXPECT_PRED2(has, why([&] { rows.prepare(4, {.log_prob = true}); }), "density");
  EXPECT_NO_THROW(rows.prepare(4, {.inverse = true}));
  const Generator rounded(make_model(kClosedForm[0], "gaussian", Device::cpu, 1), Device::cpu,
                          {.precision = Precision::bfloat16});
  EXPECT_PRED2(has, why([&] { rounded.prepare(4, {.inverse = true}); }), "float32");
  const Generator generator(make_model(kClosedForm[0], "gaussian", Device::cpu, 1), Device::cpu);
  std::vector<float> y(8, 0.1f), out(12);
  const View<const float> four(y.data(), {4, 2});
  GeneratorContext context = generator.prepare(4);
  EXPECT_PRED2(has, why([&] { context.inverse(nullptr, four, {out.data(), {4, 2}}); }), "not prepared");
  EXPECT_PRED2(has, why([&] { context.log_prob(nullptr, four, {out.data(), {4}}); }), "not prepared");
  context = generator.prepare(4, {.inverse = true, .log_prob = true});
  EXPECT_THROW(context.inverse(nullptr, four, {out.data(), {4, 3}}), InputError);
  EXPECT_THROW(context.log_prob(nullptr, four, {out.data(), {3}}), InputError);
  EXPECT_THROW(context.log_prob(nullptr, four, {out.data(), {4, 1}}), InputError);
}

}  // namespace
}  // namespace otnfm::test
