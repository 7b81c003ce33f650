#include "engine/data/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "engine/io/npy.h"
#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::data_folder;
using testing::expect_input_error;
using testing::input_error;
using testing::TemporaryFolder;

const char* const kDistributionNames[] = {"8gaussians", "moons",    "checkerboard", "swissroll",  "spirals",
                                          "rings",      "pinwheel", "crescent",     "25gaussians"};

// Poisoned, so that an element that is not written shows.
std::vector<float> drawn(const Dataset& data, const DrawKey& key, std::int64_t rows) {
  std::vector<float> out(static_cast<std::size_t>(rows * data.dimension()), std::nanf(""));
  data.draw(key, {out.data(), {rows, data.dimension()}});
  return out;
}

Dataset numbered(std::int64_t rows) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows; ++i)
    for (float column : {0.25f, 0.5f, 0.75f}) values.push_back(static_cast<float>(i) + column);
  return Dataset::points("numbered", values, 3);
}

void expect_split_invariant(const Dataset& data) {
  SCOPED_TRACE(data.name());
  const DrawKey key{.seed = 11, .stream = 3, .step = 5, .first_row = 2};
  const std::int64_t n = 67, d = data.dimension();
  const std::vector<float> whole = drawn(data, key, n);
  EXPECT_TRUE(std::all_of(whole.begin(), whole.end(), [](float x) { return std::isfinite(x); }));
  std::vector<float> parts;
  for (std::int64_t begin = 0, size = 1; begin < n; begin += size, size += 7) {
    const std::vector<float> part = drawn(data, key.at_row(begin), std::min(size, n - begin));
    parts.insert(parts.end(), part.begin(), part.end());
  }
  EXPECT_EQ(whole, parts);

  const std::vector<std::int64_t> rows = {66, 0, 13, 13, 31};
  std::vector<float> picked(rows.size() * static_cast<std::size_t>(d), std::nanf(""));
  data.draw_rows(key, {rows.data(), {5}}, {picked.data(), {5, d}});
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_TRUE(std::equal(picked.begin() + static_cast<std::ptrdiff_t>(i) * d,
                           picked.begin() + static_cast<std::ptrdiff_t>(i + 1) * d, whole.begin() + rows[i] * d));

  EXPECT_NE(whole, drawn(data, {.seed = 12, .stream = 3, .step = 5, .first_row = 2}, n));
  EXPECT_NE(whole, drawn(data, {.seed = 11, .stream = 4, .step = 5, .first_row = 2}, n));
  EXPECT_NE(whole, drawn(data, {.seed = 11, .stream = 3, .step = 6, .first_row = 2}, n));
  EXPECT_TRUE(drawn(data, key, 0).empty());
}

TEST(Dataset, RowsDependOnTheKeyAndTheirNumberAlone) {
  for (const char* name : kDistributionNames) expect_split_invariant(open_dataset(name));
  expect_split_invariant(open_dataset("gaussian"));
  expect_split_invariant(open_dataset("gaussian:17"));
  expect_split_invariant(numbered(41));
}

TEST(Dataset, EndlessOnesSayWhatTheyAre) {
  for (const char* name : kDistributionNames) {
    const Dataset data = open_dataset(name);
    EXPECT_EQ(data.name(), name);
    EXPECT_EQ(data.dimension(), 2);
    EXPECT_TRUE(data.endless());
    EXPECT_TRUE(data.kind().has_value());
    EXPECT_FALSE(data.is_images());
    EXPECT_FALSE(data.has_test_split());
    EXPECT_EQ(data.count(), 0);
    EXPECT_THROW(data.float_rows(), RunError);
    EXPECT_TRUE(data.rows_in_place().empty());
    EXPECT_TRUE(data.pixels().empty());
  }
  EXPECT_EQ(open_dataset("gaussian:5").dimension(), 5);
  EXPECT_FALSE(open_dataset("gaussian").kind().has_value());
  EXPECT_THROW(open_dataset("moons").test_split(), InputError);
}

TEST(Dataset, GaussianHasUnitMoments) {
  const std::vector<float> x = drawn(open_dataset("gaussian:3"), {.seed = 1}, 100000);
  double sum = 0, square = 0;
  for (float value : x) {
    sum += value;
    square += static_cast<double>(value) * value;
  }
  EXPECT_NEAR(sum / 300000, 0, 6 / std::sqrt(300000.0));
  EXPECT_NEAR(square / 300000, 1, 6 * std::sqrt(2 / 300000.0));
}

TEST(Dataset, FiniteDrawsAreItsRowsUniformly) {
  const Dataset data = numbered(10);
  constexpr std::int64_t kDraws = 20000;
  const std::vector<float> out = drawn(data, {.seed = 3}, kDraws);
  std::vector<double> count(10);
  for (std::int64_t i = 0; i < kDraws; ++i) {
    const float* row = out.data() + 3 * i;
    const auto number = static_cast<std::size_t>(row[0]);
    ASSERT_LT(number, 10u);
    for (std::int64_t j = 0; j < 3; ++j) ASSERT_EQ(row[j], data.rows_in_place()(static_cast<std::int64_t>(number), j));
    ++count[number];
  }
  double chi = 0;
  for (double c : count) chi += std::pow(c - kDraws / 10.0, 2) / (kDraws / 10.0);
  EXPECT_LT(chi, 9 + 6 * std::sqrt(18.0));
}

TEST(Dataset, DistinctDrawsDoNotRepeat) {
  const Dataset data = numbered(100);
  std::set<float> seen;
  for (std::int64_t first : {0, 40}) {
    std::vector<float> out(static_cast<std::size_t>(3 * (first ? 60 : 40)));
    const std::int64_t rows = static_cast<std::int64_t>(out.size()) / 3;
    data.draw_distinct({.seed = 8, .first_row = first}, {out.data(), {rows, 3}});
    for (std::int64_t i = 0; i < rows; ++i) seen.insert(out[static_cast<std::size_t>(3 * i)]);
  }
  EXPECT_EQ(seen.size(), 100u);
  std::vector<float> out(303);
  EXPECT_NE(input_error([&] {
              data.draw_distinct({}, {out.data(), {101, 3}});
            }).find("rows 0 to 101 of 100"),
            std::string::npos);
  EXPECT_THROW(data.draw_distinct({.first_row = -1}, {out.data(), {2, 3}}), InputError);
  const Dataset endless = open_dataset("moons");
  std::vector<float> fresh(20);
  endless.draw_distinct({.seed = 2}, {fresh.data(), {10, 2}});
  EXPECT_EQ(fresh, drawn(endless, {.seed = 2}, 10));
}

TEST(Dataset, RefusesAnOutputThatDoesNotFit) {
  std::vector<float> out(12);
  EXPECT_THROW(open_dataset("moons").draw({}, {out.data(), {4, 3}}), InputError);
  EXPECT_THROW(open_dataset("moons").draw({}, {out.data(), {4}}), InputError);
  EXPECT_THROW(numbered(3).draw({}, {nullptr, {4, 3}}), InputError);
  const std::vector<std::int64_t> rows = {1, 2, 3};
  EXPECT_THROW(numbered(3).draw_rows({}, {rows.data(), {3}}, {out.data(), {4, 3}}), InputError);
}

TEST(Dataset, WritesIntoRowsWithGaps) {
  std::vector<float> out(40, -1.0f);
  View<float> view(out.data(), {10, 4});
  numbered(5).draw({.seed = 1}, view.column_slice(0, 3));
  const std::vector<float> packed = drawn(numbered(5), {.seed = 1}, 10);
  for (std::int64_t i = 0; i < 10; ++i) {
    for (std::int64_t j = 0; j < 3; ++j) EXPECT_EQ(view(i, j), packed[static_cast<std::size_t>(3 * i + j)]);
    EXPECT_EQ(view(i, 3), -1.0f);
  }
}

TEST(OpenDataset, ReadsMatrices) {
  const TemporaryFolder folder;
  const std::vector<double> values = {1, 2, 3, 4, 5, 6};
  write_npy(folder / "a.npy", View<const double>(values.data(), {3, 2}));
  const Dataset data = open_dataset((folder / "a.npy").string());
  EXPECT_FALSE(data.endless());
  EXPECT_EQ(data.count(), 3);
  EXPECT_EQ(data.dimension(), 2);
  EXPECT_EQ(data.rows_in_place()(2, 1), 6.0f);
  EXPECT_FALSE(data.has_test_split());
}

TEST(OpenDataset, NamesWhatItRefuses) {
  const std::string message = input_error([] { open_dataset("8gausians"); });
  EXPECT_NE(message.find("8gausians"), std::string::npos);
  for (const char* name : kDistributionNames) EXPECT_NE(message.find(name), std::string::npos) << message;
  EXPECT_THROW(open_dataset(""), InputError);
  EXPECT_THROW(open_dataset("mnist:"), InputError);
  for (const char* spec : {"gaussian:0", "gaussian:-3", "gaussian:x", "gaussian:3x", "gaussian:99999999999"})
    EXPECT_NE(input_error([&] { open_dataset(spec); }).find(spec), std::string::npos);

  const TemporaryFolder folder;
  expect_input_error(folder / "none.npy", "", [&] { open_dataset((folder / "none.npy").string()); });
  EXPECT_THROW(open_dataset("mnist:" + (folder / "none").string()), InputError);
  EXPECT_THROW(open_dataset("cifar10:" + (folder / "none").string()), InputError);
  const std::filesystem::path path = folder / "a.npy";
  const auto open = [&] { open_dataset(path.string()); };
  std::vector<float> values(6, 1.0f);
  write_npy(path, View<const float>(values.data(), {6}));
  expect_input_error(path, "", open);
  write_npy(path, View<const float>(values.data(), {1, 2, 3}));
  expect_input_error(path, "", open);
  write_npy(path, View<const float>(values.data(), {0, 3}));
  expect_input_error(path, "no data", open);
  write_npy(path, View<const float>(values.data(), {3, 0}));
  expect_input_error(path, "[3, 0]", open);
  values[4] = std::nanf("");
  write_npy(path, View<const float>(values.data(), {2, 3}));
  expect_input_error(path, "row 1, column 1 (counted from 0) is nan", open);
  values[2] = std::numeric_limits<float>::infinity();
  write_npy(path, View<const float>(values.data(), {2, 3}));
  expect_input_error(path, "row 0, column 2 (counted from 0) is inf", open);
}

TEST(OpenDataset, ScalesPixels) {
  for (int pixel = 0; pixel < 256; ++pixel) {
    const float value = value_of_pixel(static_cast<std::uint8_t>(pixel));
    EXPECT_NEAR(value, pixel * 2.0 / 255 - 1, 1e-7);
  }
  EXPECT_EQ(value_of_pixel(0), -1.0f);
  EXPECT_EQ(value_of_pixel(255), 1.0f);
}

TEST(OpenDataset, ReadsMnist) {
  const std::filesystem::path folder = data_folder() / "mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no MNIST in " << folder << " (set OTNFM_TEST_DATA)";
  const Dataset data = open_dataset("mnist:" + folder.string());
  EXPECT_TRUE(data.is_images());
  EXPECT_EQ(data.sample_shape(), (Shape{28, 28, 1}));
  EXPECT_EQ(data.count(), 60000);
  EXPECT_EQ(data.dimension(), 784);
  const Dataset test = data.test_split();
  EXPECT_EQ(test.count(), 10000);
  EXPECT_TRUE(test.is_images());
  EXPECT_FALSE(test.has_test_split());
  double sum = 0;
  for (std::int64_t i = 0; i < data.count(); ++i)
    for (std::int64_t j = 0; j < 784; ++j) sum += value_of_pixel(data.pixels().row(i)[j]);
  EXPECT_NEAR(sum / (60000.0 * 784), 2 * 0.1306604762738429 - 1, 1e-6);
}

TEST(OpenDataset, ReadsCifar10) {
  const std::filesystem::path folder = data_folder() / "cifar-10-batches-bin";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no CIFAR-10 in " << folder << " (set OTNFM_TEST_DATA)";
  const Dataset data = open_dataset("cifar10:" + folder.string());
  EXPECT_EQ(data.count(), 50000);
  EXPECT_EQ(data.dimension(), 3072);
  EXPECT_EQ(data.sample_shape(), (Shape{32, 32, 3}));
  EXPECT_EQ(data.test_split().count(), 10000);
  const View<const std::uint8_t> pixels = data.pixels();
  const auto [low, high] = std::minmax_element(pixels.data, pixels.data + pixels.size());
  EXPECT_EQ(*low, 0);
  EXPECT_EQ(*high, 255);
}

}  // namespace
}  // namespace otnfm
