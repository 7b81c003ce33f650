// What the cases of tests/cases/matmul.cpp cannot say: refused arguments, batches that lie side by side, values that
// are not numbers, and a product within a captured graph.
#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/error.h"
#include "kernels/memory.h"

namespace otnfm {
namespace {

std::vector<float> random_floats(std::size_t n) {
  static std::mt19937_64 random{std::random_device{}()};
  std::uniform_real_distribution<float> distribution(0.5f, 1.5f);
  std::vector<float> values(n);
  for (float& value : values) value = distribution(random);
  return values;
}

template <class Change>
void expect_refused(const Change& change, const char* word) {
  Stream stream(Device::cpu);
  std::vector<float> a(64), b(64), c(64), bias(8);
  Matmul arguments{.a = View<float>(a.data(), {3, 5}),
                   .b = View<float>(b.data(), {5, 4}),
                   .c = {c.data(), {3, 4}},
                   .bias = View<float>(bias.data(), {4})};
  matmul(stream, arguments);  // right as it is
  change(arguments);
  try {
    matmul(stream, arguments);
    ADD_FAILURE() << "accepted: " << word;
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(Matmul, RefusesWrongArguments) {
  expect_refused([](Matmul& a) { a.b.shape[0] = 6; }, "matmul: b:");
  expect_refused([](Matmul& a) { a.transpose_a = true; }, "matmul: a:");
  expect_refused([](Matmul& a) { a.transpose_b = true; }, "matmul: b:");
  expect_refused([](Matmul& a) { a.c.shape[1] = 5; }, "matmul: c:");
  expect_refused([](Matmul& a) { a.a.rank = 1; }, "a must have the rank of c");
  expect_refused([](Matmul& a) { a.c.rank = 1; }, "c must be a matrix");
  expect_refused([](Matmul& a) { a.a.stride[1] = 2; }, "contiguous rows");
  expect_refused([](Matmul& a) { a.c.stride[0] = 3; }, "contiguous rows");
  expect_refused([](Matmul& a) { a.b.data = nullptr; }, "null");
  expect_refused([](Matmul& a) { a.bias.shape[0] = 3; }, "matmul: bias:");
  expect_refused([](Matmul& a) { a.beta = std::numeric_limits<float>::quiet_NaN(); }, "beta");
  expect_refused([](Matmul& a) { a.activation = static_cast<Activation>(99); }, "activation");
  expect_refused([](Matmul& a) { a.a.data = a.c.data; }, "c must not be a or b");
}

TEST(Matmul, RefusesBatchesThatOverlap) {
  Stream stream(Device::cpu);
  std::vector<float> a(64), b(64), c(64);
  Matmul arguments{
      .a = View<float>(a.data(), {2, 3, 4}), .b = View<float>(b.data(), {2, 4, 3}), .c = {c.data(), {2, 3, 3}}};
  matmul(stream, arguments);
  arguments.c.stride[0] = 4;
  EXPECT_THROW(matmul(stream, arguments), InputError);
  arguments.c.stride[0] = 9;
  arguments.b.shape[0] = 3;
  EXPECT_THROW(matmul(stream, arguments), InputError);
}

// The heads of an attention: [rows, heads, d] read as a batch of `heads` matrices [rows, d].
TEST(Matmul, MultipliesBatchesThatLieSideBySide) {
  Stream stream(Device::cpu);
  constexpr std::int64_t kHeads = 3, kRows = 17, kDepth = 9;
  const std::vector<float> a = random_floats(kRows * kHeads * kDepth), b = random_floats(kRows * kHeads * kDepth);
  std::vector<float> c(kHeads * kRows * kRows, NAN);
  const auto heads = [&](const std::vector<float>& values) {
    View<const float> v(values.data(), {kHeads, kRows, kDepth});
    v.stride[0] = kDepth;
    v.stride[1] = kHeads * kDepth;
    return v;
  };
  matmul(stream, {.a = heads(a), .b = heads(b), .c = {c.data(), {kHeads, kRows, kRows}}, .transpose_b = true});
  for (std::int64_t h = 0; h < kHeads; ++h)
    for (std::int64_t i = 0; i < kRows; ++i)
      for (std::int64_t j = 0; j < kRows; ++j) {
        double want = 0;
        for (std::int64_t k = 0; k < kDepth; ++k)
          want += static_cast<double>(a[(i * kHeads + h) * kDepth + k]) * b[(j * kHeads + h) * kDepth + k];
        const double error = std::abs(c[(h * kRows + i) * kRows + j] - want) / want;
        ASSERT_TRUE(error <= 1e-6) << h << " " << i << " " << j << ": " << error;
      }
}

// A NaN or an infinity must not be lost on the way, whatever the shape is multiplied by.
TEST(Matmul, KeepsNaN) {
  Stream stream(Device::cpu);
  for (const std::int64_t n : {1, 3, 40})
    for (int kind = 0; kind <= static_cast<int>(Activation::softplus); ++kind)
      for (bool transpose_a : {false, true}) {
        std::vector<float> a = random_floats(37 * 20), b = random_floats(20 * n), c(37 * n), bias(n, 0.0f);
        const std::int64_t row = 35, k = 18;
        a[transpose_a ? k * 37 + row : row * 20 + k] = std::numeric_limits<float>::quiet_NaN();
        const View<const float> view_a =
            transpose_a ? View<const float>(a.data(), {20, 37}) : View<const float>(a.data(), {37, 20});
        matmul(stream, {.a = view_a,
                        .b = View<const float>(b.data(), {20, n}),
                        .c = {c.data(), {37, n}},
                        .transpose_a = transpose_a,
                        .bias = View<const float>(bias.data(), {n}),
                        .activation = static_cast<Activation>(kind)});
        for (std::int64_t i = 0; i < 37; ++i)
          for (std::int64_t j = 0; j < n; ++j)
            ASSERT_EQ(std::isnan(c[i * n + j]), i == row) << n << " " << kind << " " << i << " " << j;
      }
}

// More shapes than a thread remembers: the forgotten ones are made again.
// A processor without bfloat16 converts operands block by block (kernels/cpu/matmul.cpp, of 832 or 1024 a side), which
// the cases are too small for.
TEST(Matmul, AddsUpBlocksOfBfloat16) {
  struct Sizes {
    std::int64_t m, n, k;
  };
  Stream stream(Device::cpu);
  for (const auto& [m, n, k] : {Sizes{3, 1700, 1030}, {1030, 5, 1700}, {835, 837, 9}})
    for (const bool transposed : {false, true})
      for (const DType dtype : {DType::float32, DType::bfloat16}) {
        SCOPED_TRACE(std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) + " " + name_of(dtype));
        const auto rounded = [](const std::vector<float>& values) {
          return std::vector<bfloat16>(values.begin(), values.end());
        };
        const std::vector<bfloat16> a = rounded(random_floats(static_cast<std::size_t>(m * k)));
        const std::vector<bfloat16> b = rounded(random_floats(static_cast<std::size_t>(k * n)));
        const std::vector<bfloat16> before = rounded(random_floats(static_cast<std::size_t>(m * n)));
        std::vector<bfloat16> halves = before;
        std::vector<float> floats(before.begin(), before.end());
        const View<Stored> c =
            dtype == DType::float32 ? View<Stored>(floats.data(), {m, n}) : View<Stored>(halves.data(), {m, n});
        matmul(stream, {.a = transposed ? View<const Stored>(a.data(), {k, m}) : View<const Stored>(a.data(), {m, k}),
                        .b = transposed ? View<const Stored>(b.data(), {n, k}) : View<const Stored>(b.data(), {k, n}),
                        .c = c,
                        .transpose_a = transposed,
                        .transpose_b = transposed,
                        .beta = 0.5f});
        double worst = 0;
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < n; ++j) {
            double want = 0.5 * static_cast<double>(static_cast<float>(before[static_cast<std::size_t>(i * n + j)]));
            for (std::int64_t l = 0; l < k; ++l)
              want += static_cast<double>(
                          static_cast<float>(a[static_cast<std::size_t>(transposed ? l * m + i : i * k + l)])) *
                      static_cast<double>(
                          static_cast<float>(b[static_cast<std::size_t>(transposed ? j * k + l : l * n + j)]));
            const auto at = static_cast<std::size_t>(i * n + j);
            const double got = dtype == DType::float32 ? floats[at] : static_cast<float>(halves[at]);
            const double error = std::abs(got - want) / want;
            if (!(error <= worst)) worst = error;
          }
        // One rounding of the result, on top of what the sums may be off by.
        EXPECT_TRUE(worst <= 1e-4 + (dtype == DType::bfloat16 ? 0x1p-8 : 0)) << worst;
      }
}

TEST(Matmul, ForgetsShapesAndMakesThemAgain) {
  Stream stream(Device::cpu);
  const std::vector<float> ones(2048, 1.0f);
  std::vector<float> c(1);
  for (std::int64_t k = 1; k <= 1100; ++k) {
    matmul(stream, {.a = View<const float>(ones.data(), {1, k}),
                    .b = View<const float>(ones.data(), {k, 1}),
                    .c = {c.data(), {1, 1}}});
    ASSERT_EQ(c[0], static_cast<float>(k));
  }
}

TEST(Matmul, IsReplayedByAGraph) {
  std::string reason;
  if (!cuda_available(&reason)) GTEST_SKIP() << reason;
  Stream stream(Device::cuda);
  constexpr std::int64_t kM = 16, kN = 8, kK = 12;
  const Memory a(Device::cuda, kM * kK * sizeof(float), "a"), b(Device::cuda, kK * kN * sizeof(float), "b"),
      c(Device::cuda, kM * kN * sizeof(float), "c"), bias(Device::cuda, kN * sizeof(float), "bias");
  const auto pointer = [](const Memory& memory) { return reinterpret_cast<float*>(memory.data()); };
  const auto record = [&] {
    matmul(stream, {.a = View<float>(pointer(a), {kM, kK}),
                    .b = View<float>(pointer(b), {kK, kN}),
                    .c = {pointer(c), {kM, kN}},
                    .bias = View<float>(pointer(bias), {kN})});
  };
  const auto upload = [&](const Memory& to, const std::vector<float>& from) {
    copy_bytes(stream, to.data(), from.data(), from.size() * sizeof(float));
  };
  upload(a, std::vector<float>(kM * kK, 0.0f));
  record();  // a first call may load code, which a capture must not
  const Graph graph = Graph::capture(stream, record);
  for (int replay = 0; replay < 2; ++replay) {
    const std::vector<float> host_a = random_floats(kM * kK), host_b = random_floats(kK * kN),
                             host_bias = random_floats(kN);
    upload(a, host_a);
    upload(b, host_b);
    upload(bias, host_bias);
    graph.launch(stream);
    std::vector<float> got(kM * kN);
    copy_bytes(stream, got.data(), c.data(), got.size() * sizeof(float));
    stream.synchronize();
    for (std::int64_t i = 0; i < kM; ++i)
      for (std::int64_t j = 0; j < kN; ++j) {
        double want = host_bias[j];
        for (std::int64_t k = 0; k < kK; ++k) want += static_cast<double>(host_a[i * kK + k]) * host_b[k * kN + j];
        ASSERT_TRUE(std::abs(got[i * kN + j] - want) <= 1e-6 * want) << i << " " << j;
      }
  }
}

}  // namespace
}  // namespace otnfm
