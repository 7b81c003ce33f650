#include "engine/io/array_file.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::expect_input_error;
using testing::get;
using testing::input_error;
using testing::put;
using testing::TemporaryFolder;

TEST(ArrayFile, KindsAreToldApartByTheEndOfTheName) {
  const TemporaryFolder folder;
  const std::vector<double> values = {1, 2, 3, 4.5};
  for (const char* name : {"a.npy", "a.csv"}) {
    const std::string path = (folder / name).string();
    write_array(path, View<const double>(values.data(), {2, 2}));
    EXPECT_TRUE(is_array_file(path));
    EXPECT_EQ(read_array(path).shape, (std::vector<std::int64_t>{2, 2})) << path;
    EXPECT_EQ(read_matrix_float(path).values, (std::vector<float>{1, 2, 3, 4.5f})) << path;
  }
  EXPECT_EQ(get(folder / "a.csv"), "1,2\n3,4.5\n");
  for (const char* name : {"a.txt", "a", "csv", "a.npz2", "-"}) {
    const std::string path = (folder / name).string();
    EXPECT_FALSE(is_array_file(path));
    expect_input_error(path, "FILE.npy, FILE.npz (FILE.npz:NAME where it holds several arrays) or FILE.csv",
                       [&] { read_array(path); });
    expect_input_error(path, ".npy or .csv", [&] { write_array(path, View<const double>(values.data(), {2, 2})); });
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  write_array("/dev/null", View<const double>(values.data(), {2, 2}));
  // One array of an archive: the reader of archives is told its name.
  expect_input_error(folder / "none.npz", "No such file", [&] { read_array((folder / "none.npz:x").string()); });
}

template <class T>
NpyArray array_of(const std::vector<T>& values) {
  NpyArray array{dtype_of<T>, {static_cast<std::int64_t>(values.size())}, {}};
  array.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  return array;
}

template <class T>
void expect_numbers(const NpyArray& array, const std::vector<T>& wanted) {
  ASSERT_EQ(array.dtype, dtype_of<T>);
  ASSERT_EQ(array.bytes.size(), wanted.size() * sizeof(T));
  for (std::size_t i = 0; i < wanted.size(); ++i)
    EXPECT_EQ(std::memcmp(array.bytes.data() + i * sizeof(T), &wanted[i], sizeof(T)), 0) << i;
}

TEST(ArrayFile, MakesFloatsOfOneTypeWithoutLoss) {
  using Int32 = std::vector<std::int32_t>;
  using Int64 = std::vector<std::int64_t>;
  using Floats = std::vector<float>;
  using Doubles = std::vector<double>;
  const auto make = [](NpyArray first, NpyArray second, const auto& wanted_first, const auto& wanted_second) {
    make_floats_of_one_type(first, "a", second, "b");
    expect_numbers(first, wanted_first);
    expect_numbers(second, wanted_second);
  };
  const std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
  make(array_of(Floats{0.5f}), array_of(Floats{2}), Floats{0.5f}, Floats{2});
  make(array_of(Floats{0.5f}), array_of(Doubles{0.1}), Doubles{0.5}, Doubles{0.1});
  make(array_of(Doubles{2}), array_of(Int32{-7}), Doubles{2}, Doubles{-7});
  make(array_of(Int32{0, -255, 1 << 24}), array_of(Int64{-(1 << 24), std::int64_t{1} << 40}), Floats{0, -255, 1 << 24},
       Floats{-(1 << 24), 0x1p40f});
  make(array_of(Int32{(1 << 24) + 1}), array_of(Floats{0.1f}), Doubles{(1 << 24) + 1}, Doubles{0.1f});
  make(array_of(Int64{(std::int64_t{1} << 53) + 2, lowest}), array_of(Int32{}), Doubles{0x1p53 + 2, -0x1p63},
       Doubles{});
  NpyArray first = array_of(Floats{1}), second = array_of(Int64{(std::int64_t{1} << 53) + 1});
  expect_input_error("b", "9007199254740993", [&] { make_floats_of_one_type(first, "a", second, "b"); });
  second = array_of(Int64{std::numeric_limits<std::int64_t>::max()});
  expect_input_error("b", "9223372036854775807", [&] { make_floats_of_one_type(first, "a", second, "b"); });
}

TEST(ArrayFile, ReadsVectors) {
  const TemporaryFolder folder;
  const std::string array = (folder / "a.npy").string(), text = (folder / "a.csv").string();
  const std::vector<std::int64_t> whole = {3, -1, 2};
  write_array(array, View<const std::int64_t>(whole.data(), {3}));
  EXPECT_EQ(read_vector(array), (std::vector<double>{3, -1, 2}));
  for (const char* lines : {"w\n3\n-1\n2\n", "3,-1,2"}) {
    put(text, lines);
    EXPECT_EQ(read_vector(text), (std::vector<double>{3, -1, 2})) << lines;
  }
  put(text, "1,2\n3,4\n");
  expect_input_error(text, "[2, 2], wanted [n]", [&] { read_vector(text); });
  write_array(array, View<const std::int64_t>(whole.data(), {3, 1}));
  expect_input_error(array, "[3, 1], wanted [n]", [&] { read_vector(array); });
}

TEST(ArrayFile, ConvertsMatricesToFloat) {
  const TemporaryFolder folder;
  const std::string path = (folder / "a.npy").string();
  const std::vector<std::int64_t> integers = {-3, 4, 1 << 20, 0};
  write_array(path, View<const std::int64_t>(integers.data(), {2, 2}));
  EXPECT_EQ(read_matrix_float(path).values, (std::vector<float>{-3, 4, 1 << 20, 0}));
  std::vector<double> doubles = {0.1, std::nan(""), std::numeric_limits<double>::infinity(), 1};
  write_array(path, View<const double>(doubles.data(), {2, 2}));
  const FloatMatrix matrix = read_matrix_float(path);
  EXPECT_EQ(matrix.values[0], 0.1f);
  EXPECT_TRUE(std::isnan(matrix.values[1]));
  EXPECT_TRUE(std::isinf(matrix.values[2]));
  doubles[3] = 1e39;
  write_array(path, View<const double>(doubles.data(), {2, 2}));
  expect_input_error(path, "1e+39 in row 1, column 1", [&] { read_matrix_float(path); });
  write_array(path, View<const double>(doubles.data(), {4}));
  expect_input_error(path, "[4], wanted [n, d]", [&] { read_matrix_float(path); });
  write_array(path, View<const double>(doubles.data(), {4, 0}));
  expect_input_error(path, "[4, 0], wanted [n, d]", [&] { read_matrix_float(path); });
}

}  // namespace
}  // namespace otnfm
