#include "engine/io/csv.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::expect_input_error;
using testing::get;
using testing::put;
using testing::survive_damage;
using testing::TemporaryFolder;

using Shape = std::vector<std::int64_t>;

template <class T>
std::vector<T> numbers_of(const NpyArray& array) {
  EXPECT_EQ(array.dtype, dtype_of<T>);
  std::vector<T> values(array.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

TEST(Csv, ReadsWhatOthersWrite) {
  const std::vector<double> wanted = {1.5, -2, 3e-5, 4, 0.25, 6};
  const Shape shape = {2, 3};
  for (const std::string text : {
           "1.5,-2,3e-5\n4,.25,6\n",                                       // NumPy, delimiter ","
           "# x,y,z\n1.5,-2,3e-5\n4,.25,6\n",                              // with a header
           "x,y,z\n1.5,-2.0,3e-05\n4.0,0.25,6.0\n",                        // pandas
           "\"x\",\"the, second\",\"z\"\n1.5,-2,3e-05\n4,0.25,6\n",        // R
           "\xef\xbb\xbfx;y;z\r\n1.5;-2;3e-5\r\n4;0.25;6\r\n",             // a spreadsheet
           "1.500e+00 -2.000e+00 3.0E-5\n 4.0e+00  2.5e-01 +6.0e+00\n\n",  // NumPy as it is
           "x y z\n1.5 -2 3e-5\n4 0.25 6",
           "1.5\t-2\t3e-5\n4\t0.25\t6",
           "\n1.5, -2 ,3e-5\n\n  4,\t0.25,\"6\"\n# the end\n",
       }) {
    const NpyArray array = parse_csv(text, "a.csv");
    EXPECT_EQ(array.shape, shape) << text;
    EXPECT_EQ(numbers_of<double>(array), wanted) << text;
  }
}

TEST(Csv, ANameMayHaveBlanks) {
  for (const std::string text : {"body mass\n1.5\n-2\n", "mass 2 of 3\n1.5\n-2\n", "\"body mass\"\n1.5\n-2\n"}) {
    const NpyArray array = parse_csv(text, "a.csv");
    EXPECT_EQ(array.shape, (Shape{2, 1})) << text;
    EXPECT_EQ(numbers_of<double>(array), (std::vector<double>{1.5, -2})) << text;
  }
  EXPECT_EQ(numbers_of<std::int64_t>(parse_csv("mass 2.5\n7\n", "a.csv")), (std::vector<std::int64_t>{7}));
}

TEST(Csv, ReadsCountsThatAreNumbers) {
  // The distances of three places on a line, and one row alone.
  EXPECT_EQ(parse_csv("0,1,2\n1,0,1\n2,1,0\n", "a.csv").shape, (Shape{3, 3}));
  EXPECT_EQ(parse_csv("0,1\n", "a.csv").shape, (Shape{1, 2}));
  EXPECT_EQ(parse_csv("0.0,1\n0.5,2\n", "a.csv").shape, (Shape{2, 2}));
  const TemporaryFolder folder;
  const std::vector<float> points = {0, 1, 2, 0.5f, 3, 1e20f};
  write_csv(folder / "a.csv", View<const float>(points.data(), {2, 3}));
  EXPECT_EQ(numbers_of<double>(read_csv(folder / "a.csv"))[3], 0.5);
}

TEST(Csv, KeepsWholeNumbersWhole) {
  const NpyArray whole = parse_csv("9007199254740993,-1\n+3,9223372036854775807\n", "a.csv");
  EXPECT_EQ(numbers_of<std::int64_t>(whole), (std::vector<std::int64_t>{9007199254740993, -1, 3, 9223372036854775807}));
  // One that is not makes all of them float64, whenever it comes.
  EXPECT_EQ(numbers_of<double>(parse_csv("1,2\n3,4.5\n", "a.csv")), (std::vector<double>{1, 2, 3, 4.5}));
  EXPECT_EQ(numbers_of<double>(parse_csv("-7\n9223372036854775808\n", "a.csv")), (std::vector<double>{-7, 0x1p63}));
}

TEST(Csv, ReadsTheEdgesOfFloat64) {
  const std::vector<double> values =
      numbers_of<double>(parse_csv("nan,NaN\ninf,-Infinity\n1.7976931348623157e308,1e-400\n4.9e-324,0.1", "a.csv"));
  EXPECT_TRUE(std::isnan(values[0]) && std::isnan(values[1]));
  EXPECT_EQ(values[2], std::numeric_limits<double>::infinity());
  EXPECT_EQ(values[3], -std::numeric_limits<double>::infinity());
  EXPECT_EQ(values[4], std::numeric_limits<double>::max());
  EXPECT_EQ(values[5], 0);
  EXPECT_EQ(values[6], std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(values[7], 0.1);
}

TEST(Csv, NamesLineAndColumnOfWhatItRefuses) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& text, std::string_view words) {
    put(folder / "a.csv", text);
    expect_input_error(folder / "a.csv", words, [&] { read_csv(folder / "a.csv"); });
  };
  refuse("x,y\n1,2\n3,four\n", "line 3, column 2: \"four\" is not a number");
  refuse("# x\n\n1,2\n3,\n", "line 4, column 2: is empty");
  refuse("1,2\n3,4,5\n", "line 2 has 3 columns, line 1 has 2");
  refuse("x,y\n1\n", "line 2 has 1 columns, line 1 has 2");
  refuse("1,two\n", "line 1, column 2: \"two\" is not a number (a line of names");
  refuse("x,y\nx,y\n", "line 2, column 1: \"x\"");
  refuse("1,2\n1e309,4\n", "line 2, column 1: \"1e309\" is too large");
  refuse("1,5;2,5\n", "line 1, column 2: \"5;2\"");
  refuse("1,2,\n", "line 1, column 3: is empty");
  refuse("1,+-2\n", "\"+-2\"");
  refuse("1,0x10\n", "\"0x10\"");
  refuse("1,2 3\n", "\"2 3\"");
  refuse(",x,y\n0,1,2\n", "index=False");
  // pandas without names of columns: a first line that only counts them, with or without one for the index.
  refuse(",0,1\n0,0.5,2.5\n1,1.5,-2.5\n", "index=False");
  refuse("0,1\n0.5,2.5\n1.5,-2.5\n", "line 1 counts the columns");
  refuse("\n0\n3\n0.5\n", "line 2 counts the columns");
  refuse(",0.5,1\n2,3,4\n", "line 1, column 1: is empty");
  refuse("one two 3\n1 2 3\n", "line 1, column 1: \"one\" is not a number");
  refuse("one two\n1 2 3\n", "line 2 has 3 columns, line 1 has 2");
  refuse("", "no line of numbers");
  refuse("x,y\n", "no line of numbers");
  refuse(
      "\xff\xfe"
      "1\n",
      "UTF-16");
  put(folder / "a.csv", std::string(100, '1'));
  expect_input_error(folder / "a.csv", "limit of 99", [&] { read_csv(folder / "a.csv", 99); });
}

TEST(Csv, WritesWhatItReadsBackExactly) {
  const TemporaryFolder folder;
  const std::vector<float> floats = {0.1f, -3, 1e-45f, 3.4028235e38f, 16777218, 2};
  write_csv(folder / "a.csv", View<const float>(floats.data(), {3, 2}));
  EXPECT_EQ(get(folder / "a.csv"), "0.1,-3\n1e-45,3.4028235e+38\n16777218,2\n");
  const std::vector<double> read = numbers_of<double>(read_csv(folder / "a.csv"));
  for (std::size_t i = 0; i < floats.size(); ++i) EXPECT_EQ(static_cast<float>(read[i]), floats[i]);
  const std::vector<double> doubles = {0.1 + 0.2, 1e300, -0.0};
  write_csv(folder / "a.csv", View<const double>(doubles.data(), {3}));
  EXPECT_EQ(numbers_of<double>(read_csv(folder / "a.csv")), doubles);
  const std::vector<std::int64_t> whole = {-1, 9223372036854775807, 3, 4};
  write_csv(folder / "a.csv", View<const std::int64_t>(whole.data(), {2, 2}));
  EXPECT_EQ(get(folder / "a.csv"), "-1,9223372036854775807\n3,4\n");
  // A column of a matrix, and more than one buffer of the writer.
  const std::int64_t n = 300001;
  std::vector<float> tall(2 * n);
  for (std::int64_t i = 0; i < n; ++i) tall[2 * i] = static_cast<float>(i);
  const View<float> column = View<float>(tall.data(), {n, 2}).column_slice(0, 1);
  write_csv(folder / "b.csv", View<const float>(column));
  const NpyArray back = read_csv(folder / "b.csv");
  ASSERT_EQ(back.shape, (Shape{n, 1}));
  const std::vector<std::int64_t> numbers = numbers_of<std::int64_t>(back);
  for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(numbers[i], i);
  expect_input_error(folder / "c.csv", "3 axes", [&] {
    write_csv(folder / "c.csv", View<const float>(floats.data(), {1, 3, 2}));
  });
}

TEST(Csv, SurvivesDamage) {
  const TemporaryFolder folder;
  const auto load = [](const std::filesystem::path& path) { read_csv(path); };
  const int refused = survive_damage("x,\"y\",z\n1.5,-2e3,7\n4,nan,123456789\n", folder / "a.csv", 3000, load);
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 3000);
}

}  // namespace
}  // namespace otnfm
