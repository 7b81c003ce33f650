#include "engine/io/npy.h"

#include <zlib.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::expect_input_error;
using testing::expect_truncations_refused;
using testing::get;
using testing::little_endian;
using testing::put;
using testing::survive_damage;
using testing::TemporaryFolder;

// An .npy file put together by hand, from the format's description.
std::string npy_bytes(const std::string& dictionary, const std::string& data, int version = 1) {
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' +
         little_endian(dictionary.size(), version == 1 ? 2 : 4) + dictionary + data;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> values_of(const NpyArray& array) {
  EXPECT_EQ(array.dtype, dtype_of<T>);
  std::vector<T> values(array.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

template <class T>
void round_trip(const TemporaryFolder& folder, const std::vector<T>& values,
                std::initializer_list<std::int64_t> shape) {
  write_npy(folder / "a.npy", View<const T>(values.data(), shape));
  const NpyArray array = read_npy(folder / "a.npy");
  EXPECT_EQ(array.shape, std::vector<std::int64_t>(shape));
  EXPECT_EQ(values_of<T>(array), values);
}

TEST(Npy, RoundTripsEveryDTypeAndRank) {
  const TemporaryFolder folder;
  round_trip<float>(folder, {1.5f, -2, 3, std::numeric_limits<float>::infinity(), 5, 6}, {2, 3});
  round_trip<double>(folder, {1e300, -0.0, 3}, {3});
  round_trip<std::int32_t>(folder, {-2147483647, 7}, {1, 2, 1});
  round_trip<std::int64_t>(folder, {std::numeric_limits<std::int64_t>::min()}, {1, 1, 1, 1});
  round_trip<std::uint8_t>(folder, {0, 255, 128, 1}, {2, 2});
  round_trip<std::uint64_t>(folder, {~0ull, 1}, {2});
  round_trip<float>(folder, {}, {0, 5});
  round_trip<float>(folder, {}, {5, 0, 2});
}

TEST(Npy, WritesTheHeaderThatTheFormatAsksFor) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3};
  write_npy(folder / "a.npy", View<const float>(values.data(), {3}));
  const std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
  const std::string blanks(128 - 10 - dictionary.size() - 1, ' ');
  EXPECT_EQ(get(folder / "a.npy"),
            std::string("\x93NUMPY\x01\0v\0", 10) + dictionary + blanks + "\n" + bytes_of(values));
}

TEST(Npy, GathersStridedViews) {
  const TemporaryFolder folder;
  std::vector<float> values(7 * 5);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const View<float> all(values.data(), {7, 5});
  write_npy(folder / "a.npy", all.column_slice(1, 3));
  const FloatMatrix matrix = read_matrix_float(folder / "a.npy");
  ASSERT_EQ(matrix.rows, 7);
  ASSERT_EQ(matrix.columns, 3);
  for (int i = 0; i < 7; ++i)
    for (int j = 0; j < 3; ++j) EXPECT_EQ(matrix.view()(i, j), all(i, j + 1));
  // More than one buffer of the writer.
  const std::int64_t n = 300001;
  std::vector<float> tall(2 * n);
  for (std::int64_t i = 0; i < n; ++i) tall[2 * i] = static_cast<float>(i);
  write_npy(folder / "b.npy", View<float>(tall.data(), {n, 2}).column_slice(0, 1));
  const FloatMatrix column = read_matrix_float(folder / "b.npy");
  ASSERT_EQ(column.rows, n);
  for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(column.values[i], static_cast<float>(i));
  EXPECT_THROW(write_npy(folder / "c.npy", View<float>()), InputError);
}

TEST(Npy, ReadsVersionsOrdersAndSpellings) {
  const TemporaryFolder folder;
  const std::string data = bytes_of<float>({1, 2, 3, 4, 5, 6});
  for (int version : {1, 2, 3}) {
    put(folder / "a.npy", npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", data, version));
    EXPECT_EQ(values_of<float>(read_npy(folder / "a.npy")), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  }
  put(folder / "a.npy", npy_bytes("{\"shape\":(2L,3L),'fortran_order':True,'descr':'<f4'}", data));
  EXPECT_EQ(values_of<float>(read_npy(folder / "a.npy")), (std::vector<float>{1, 3, 5, 2, 4, 6}));
  put(folder / "a.npy", npy_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': ()}", bytes_of<double>({2.5})));
  EXPECT_TRUE(read_npy(folder / "a.npy").shape.empty());
  EXPECT_EQ(values_of<double>(read_npy(folder / "a.npy")), std::vector<double>{2.5});
  put(folder / "a.npy", npy_bytes("{'descr': '|b1', 'fortran_order': True, 'shape': (3,)}", std::string("\0\1\2", 3)));
  EXPECT_EQ(values_of<std::uint8_t>(read_npy(folder / "a.npy")), (std::vector<std::uint8_t>{0, 1, 1}));
}

TEST(Npy, TransposesFortranOrderOfRank4) {
  const TemporaryFolder folder;
  const std::int64_t shape[4] = {2, 3, 4, 5};
  std::vector<std::int32_t> fortran(120), wanted(120);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k)
        for (int l = 0; l < 5; ++l) {
          const std::int32_t value = 1000 * i + 100 * j + 10 * k + l;
          fortran[i + 2 * (j + 3 * (k + 4 * l))] = value;
          wanted[((i * 3 + j) * 4 + k) * 5 + l] = value;
        }
  put(folder / "a.npy", npy_bytes("{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3, 4, 5)}", bytes_of(fortran)));
  const NpyArray array = read_npy(folder / "a.npy");
  EXPECT_EQ(array.shape, std::vector<std::int64_t>(shape, shape + 4));
  EXPECT_EQ(values_of<std::int32_t>(array), wanted);
}

TEST(Npy, NamesWhatItRefuses) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& bytes, std::string_view words) {
    put(folder / "a.npy", bytes);
    expect_input_error(folder / "a.npy", words, [&] { read_npy(folder / "a.npy"); });
  };
  const auto header = [](const std::string& descr, const std::string& shape) {
    return npy_bytes("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }", "");
  };
  refuse("not an array at all", "not an .npy file");
  refuse(npy_bytes("{}", "", 4), "version is 4.0");
  refuse(header("'>f4'", "(1,)"), ">f4");
  refuse(header("'<f2'", "(1,)"), "<f2");
  refuse(header("[('x', '<f4')]", "(1,)"), "structured");
  refuse(header("'<f4'", "(4,)"), "[4] of float32 does not fit the 0 bytes");
  refuse(header("'<f4'", "(0,)") + "x", "does not fit the 1 bytes");
  refuse(header("'<f4'", "(-1,)"), "[-1]");
  refuse(header("'<f4'", "(1, 1, 1, 1, 1)"), "rank is above 4");
  refuse(header("'<f4'", "(9223372036854775807, 9223372036854775807)"), "does not fit");
  refuse(header("'<f4'", "(4294967296, 4294967296)"), "does not fit");     // the product is 0 in 64 bits
  refuse(header("'<f4'", "(0, 4294967296, 4294967296)"), "does not fit");  // strides would overflow
  refuse(header("'<f4'", "(99999999999999999999,)"), "below 2^63");
  refuse(header("'<f4'", "(1"), "wanted");
  refuse(header("'<f4'", "(,)"), "wanted a size");
  refuse(header("'<f4'", "(1.5,)"), "wanted");
  refuse(header("'<f4", "(1,)"), "wanted");
  refuse(npy_bytes("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", ""), "repeated");
  refuse(npy_bytes("{'descr': '<f4', 'fortran_order': False}", ""), "lacks");
  refuse(npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), 'more': 1}", ""), "more");
  refuse(npy_bytes("{'descr': '<f4', 'fortran_order': 0, 'shape': (0,)}", ""), "True or False");
  refuse(npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)} x", ""), "the end");
  refuse(std::string("\x93NUMPY\x02\0", 8) + little_endian(0xffffffff, 4), "limit");
  refuse(std::string("\x93NUMPY\x01\0", 8) + little_endian(1000, 2) + "{}", "declares 1000 bytes, the file holds 2");
  put(folder / "a.npy", std::string(100, 'x'));
  expect_input_error(folder / "a.npy", "limit of 99", [&] { read_npy(folder / "a.npy", 99); });
}

TEST(Npy, SurvivesDamage) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  write_npy(folder / "a.npy", View<const float>(values.data(), {2, 3}));
  const std::string bytes = get(folder / "a.npy");
  const auto load = [](const std::filesystem::path& path) { read_npy(path); };
  expect_truncations_refused(bytes, folder / "b.npy", load);
  const int refused = survive_damage(bytes, folder / "b.npy", 3000, load);
  EXPECT_GT(refused, 1000);
  EXPECT_LT(refused, 3000);
}

TEST(Npy, ConvertsMatricesToFloat) {
  const TemporaryFolder folder;
  const std::vector<std::int64_t> integers = {-3, 4, 1 << 20, 0};
  write_npy(folder / "a.npy", View<const std::int64_t>(integers.data(), {2, 2}));
  EXPECT_EQ(read_matrix_float(folder / "a.npy").values, (std::vector<float>{-3, 4, 1 << 20, 0}));
  std::vector<double> doubles = {0.1, std::nan(""), std::numeric_limits<double>::infinity(), 1};
  write_npy(folder / "a.npy", View<const double>(doubles.data(), {2, 2}));
  const FloatMatrix matrix = read_matrix_float(folder / "a.npy");
  EXPECT_EQ(matrix.values[0], 0.1f);
  EXPECT_TRUE(std::isnan(matrix.values[1]));
  EXPECT_TRUE(std::isinf(matrix.values[2]));
  doubles[3] = 1e39;
  write_npy(folder / "a.npy", View<const double>(doubles.data(), {2, 2}));
  expect_input_error(folder / "a.npy", "1e+39 in row 1, column 1", [&] { read_matrix_float(folder / "a.npy"); });
  write_npy(folder / "a.npy", View<const double>(doubles.data(), {4}));
  expect_input_error(folder / "a.npy", "[4], wanted [n, d]", [&] { read_matrix_float(folder / "a.npy"); });
  write_npy(folder / "a.npy", View<const double>(doubles.data(), {4, 0}));
  expect_input_error(folder / "a.npy", "[4, 0], wanted [n, d]", [&] { read_matrix_float(folder / "a.npy"); });
}

struct Member {
  std::string name, content;
  bool deflate = false;
};

std::string deflated(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

// A zip archive as NumPy writes it: local headers with a zip64 field and sizes of 0xffffffff, true sizes in the
// directory.
std::string zip(const std::vector<Member>& members, std::uint64_t declared = 0) {
  std::string file, directory;
  for (const Member& member : members) {
    const std::string data = member.deflate ? deflated(member.content) : member.content;
    const std::uint64_t checksum =
        crc32(0, reinterpret_cast<const Bytef*>(member.content.data()), member.content.size());
    const std::uint64_t unpacked = declared ? declared : member.content.size();
    const std::string method = little_endian(member.deflate ? 8 : 0, 2);
    const std::string offset = little_endian(file.size(), 4);
    file += "PK\x03\x04" + little_endian(45, 2) + little_endian(0, 2) + method + little_endian(0, 4) +
            little_endian(checksum, 4) + little_endian(0xffffffff, 4) + little_endian(0xffffffff, 4) +
            little_endian(member.name.size(), 2) + little_endian(20, 2) + member.name + little_endian(1, 2) +
            little_endian(16, 2) + little_endian(unpacked, 8) + little_endian(data.size(), 8) + data;
    directory += "PK\x01\x02" + little_endian(45, 2) + little_endian(45, 2) + little_endian(0, 2) + method +
                 little_endian(0, 4) + little_endian(checksum, 4) + little_endian(data.size(), 4) +
                 little_endian(unpacked, 4) + little_endian(member.name.size(), 2) + little_endian(0, 12) + offset +
                 member.name;
  }
  const std::string count = little_endian(members.size(), 2);
  return file + directory + "PK\x05\x06" + little_endian(0, 4) + count + count + little_endian(directory.size(), 4) +
         little_endian(file.size(), 4) + little_endian(0, 2);
}

std::string small_array(float first) {
  return npy_bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n", bytes_of<float>({first, 2, 3, 4}));
}

TEST(Npz, ReadsStoredAndDeflatedMembers) {
  const TemporaryFolder folder;
  put(folder / "a.npz", zip({{"x.npy", small_array(1), false}, {"y.npy", small_array(9), true}}));
  const auto arrays = read_npz(folder / "a.npz");
  ASSERT_EQ(arrays.size(), 2u);
  EXPECT_EQ(values_of<float>(arrays.at("x")), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(values_of<float>(arrays.at("y")), (std::vector<float>{9, 2, 3, 4}));
  expect_input_error(folder / "a.npz", "holds 2 arrays", [&] { read_matrix_float(folder / "a.npz"); });
  put(folder / "b.npz", zip({{"x.npy", small_array(7), true}}));
  EXPECT_EQ(read_matrix_float(folder / "b.npz").values, (std::vector<float>{7, 2, 3, 4}));
  put(folder / "c.npz", zip({}));
  EXPECT_TRUE(read_npz(folder / "c.npz").empty());
}

TEST(Npz, NamesWhatItRefuses) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& bytes, std::string_view words) {
    put(folder / "a.npz", bytes);
    expect_input_error(folder / "a.npz", words, [&] { read_npz(folder / "a.npz"); });
  };
  refuse(zip({{"x.npy", small_array(1)}, {"x.npy", small_array(2)}}), "two of its members");
  refuse(zip({{"x.npy", small_array(1), true}}, 0xfffffffe), "declares 4294967294 bytes");
  refuse(zip({{"x.npy", small_array(1), true}}, 0xffffffff), "zip64");
  refuse(zip({{"x.npy", small_array(1)}}, 8), "declares 8 bytes");
  refuse(zip({{"x.npy", small_array(1), true}}, 8), "go on after");
  refuse(zip({{"x.npy", small_array(1), true}}, 1000), "too early");
  refuse(zip({{"x\n.txt", "text"}}), "x\\x0a.txt");
  refuse("no zip", "no zip directory");
  // Ten megabytes of zeros in ten kilobytes: allowed by the ratio, refused by the limit.
  put(folder / "a.npz", zip({{"x.npy", std::string(10000000, '\0'), true}}));
  expect_input_error(folder / "a.npz", "limit of 1000000", [&] { read_npz(folder / "a.npz", 1000000); });
}

TEST(Npz, SurvivesDamage) {
  const TemporaryFolder folder;
  const std::string bytes = zip({{"x.npy", small_array(1), false}, {"y.npy", small_array(9), true}});
  const auto load = [](const std::filesystem::path& path) { read_npz(path); };
  expect_truncations_refused(bytes, folder / "b.npz", load);
  EXPECT_GT(survive_damage(bytes, folder / "b.npz", 3000, load), 1000);
}

}  // namespace
}  // namespace otnfm
