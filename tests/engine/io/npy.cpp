#include "engine/io/npy.h"

#include <zlib.h>

#include <algorithm>
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

TEST(Npy, RoundTripsEveryRank) {
  const TemporaryFolder folder;
  round_trip<float>(folder, {1.5f, -2, 3, std::numeric_limits<float>::infinity(), 5, 6}, {2, 3});
  round_trip<double>(folder, {1e300, -0.0, 3}, {3});
  round_trip<std::int32_t>(folder, {-2147483647, 7}, {1, 2, 1});
  round_trip<std::int64_t>(folder, {std::numeric_limits<std::int64_t>::min()}, {1, 1, 1, 1});
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
  const NpyArray matrix = read_npy(folder / "a.npy");
  ASSERT_EQ(matrix.shape, (std::vector<std::int64_t>{7, 3}));
  const std::vector<float> read = values_of<float>(matrix);
  for (int i = 0; i < 7; ++i)
    for (int j = 0; j < 3; ++j) EXPECT_EQ(read[3 * i + j], all(i, j + 1));
  // More than one buffer of the writer.
  const std::int64_t n = 300001;
  std::vector<float> tall(2 * n);
  for (std::int64_t i = 0; i < n; ++i) tall[2 * i] = static_cast<float>(i);
  write_npy(folder / "b.npy", View<float>(tall.data(), {n, 2}).column_slice(0, 1));
  const NpyArray column = read_npy(folder / "b.npy");
  ASSERT_EQ(column.shape, (std::vector<std::int64_t>{n, 1}));
  const std::vector<float> tall_read = values_of<float>(column);
  for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(tall_read[i], static_cast<float>(i));
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
  EXPECT_EQ(values_of<std::int32_t>(read_npy(folder / "a.npy")), (std::vector<std::int32_t>{0, 1, 1}));
}

/// The numbers of type Stored in both byte orders and both array orders, [2, 3], must come back as these of type Read.
template <class Stored, class Read>
void expect_read(const TemporaryFolder& folder, const std::string& description, const std::vector<Stored>& stored,
                 const std::vector<Read>& wanted) {
  ASSERT_EQ(stored.size(), 6u);
  for (const bool big : {false, true})
    for (const bool fortran : {false, true}) {
      std::string data;
      for (const std::size_t i :
           fortran ? std::vector<std::size_t>{0, 3, 1, 4, 2, 5} : std::vector<std::size_t>{0, 1, 2, 3, 4, 5}) {
        std::string item(reinterpret_cast<const char*>(&stored[i]), sizeof(Stored));
        if (big) std::reverse(item.begin(), item.end());
        data += item;
      }
      SCOPED_TRACE(description + (big ? " big" : " little") + (fortran ? " Fortran" : " C"));
      put(folder / "a.npy", npy_bytes("{'descr': '" + std::string(big ? ">" : "<") + description +
                                          "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': (2, 3)}",
                                      data));
      EXPECT_EQ(values_of<Read>(read_npy(folder / "a.npy")), wanted);
    }
}

TEST(Npy, ReadsEveryTypeExactly) {
  const TemporaryFolder folder;
  const auto same = [&]<class T>(const std::string& description, const std::vector<T>& values) {
    expect_read(folder, description, values, values);
  };
  same("f4", std::vector<float>{1.5f, -0.1f, 3e38f, 1e-45f, 0, 7});
  same("f8", std::vector<double>{1.5, -0.1, 1e300, 5e-324, 0, 7});
  same("i4", std::vector<std::int32_t>{-2147483647 - 1, 2147483647, 0, 1, -1, 256});
  same("i8", std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(), 1, 2, 3, -1, 256});
  using Int32 = std::vector<std::int32_t>;
  using Int64 = std::vector<std::int64_t>;
  expect_read<std::int8_t>(folder, "i1", {-128, 127, 0, 1, -1, 2}, Int32{-128, 127, 0, 1, -1, 2});
  expect_read<std::int16_t>(folder, "i2", {-32768, 32767, 0, 256, -1, 2}, Int32{-32768, 32767, 0, 256, -1, 2});
  expect_read<std::uint8_t>(folder, "u1", {0, 255, 128, 1, 127, 2}, Int32{0, 255, 128, 1, 127, 2});
  expect_read<std::uint16_t>(folder, "u2", {0, 65535, 32768, 256, 1, 2}, Int32{0, 65535, 32768, 256, 1, 2});
  expect_read<std::uint32_t>(folder, "u4", {0, 4294967295u, 2147483648u, 256, 1, 2},
                             Int64{0, 4294967295, 2147483648, 256, 1, 2});
  expect_read<std::uint64_t>(folder, "u8", {0, (1ull << 63) - 1, 5, 256, 1, 2},
                             Int64{0, (1ull << 63) - 1, 5, 256, 1, 2});
  expect_read<std::uint64_t>(folder, "u8", {1ull << 63, 1, 3ull << 62, 4, 5, 6},
                             std::vector<double>{0x1p63, 1, 0x3p62, 4, 5, 6});
  expect_read<std::uint8_t>(folder, "b1", {0, 1, 2, 255, 0, 1}, Int32{0, 1, 1, 1, 0, 1});
  put(folder / "a.npy", npy_bytes("{'descr': '|i1', 'fortran_order': False, 'shape': (2,)}", "\xff\x01"));
  EXPECT_EQ(values_of<std::int32_t>(read_npy(folder / "a.npy")), (Int32{-1, 1}));
}

// Every float16 against the formula: (-1)^s 2^(e - 15) (1 + m / 1024), (-1)^s 2^-14 m / 1024 below.
TEST(Npy, ReadsEveryFloat16) {
  const TemporaryFolder folder;
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  put(folder / "a.npy", npy_bytes("{'descr': '<f2', 'fortran_order': False, 'shape': (65536,)}", bytes_of(all)));
  const std::vector<float> values = values_of<float>(read_npy(folder / "a.npy"));
  ASSERT_EQ(values.size(), all.size());
  for (int i = 0; i < 65536; ++i) {
    const int exponent = i >> 10 & 31, mantissa = i & 1023;
    if (exponent == 31 && mantissa != 0) {
      ASSERT_TRUE(std::isnan(values[i])) << i;
      continue;
    }
    double wanted = exponent == 0    ? std::ldexp(mantissa, -24)
                    : exponent == 31 ? std::numeric_limits<double>::infinity()
                                     : std::ldexp(1024 + mantissa, exponent - 25);
    if (i & 0x8000) wanted = -wanted;
    ASSERT_EQ(static_cast<double>(values[i]), wanted) << i;
    ASSERT_EQ(std::signbit(values[i]), std::signbit(wanted)) << i;
  }
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
  for (const char* other : {"<c8", "<f16", "<U4", "|S3", "|O", "<M8[ns]", "=f4", "|f4", "f4", ""})
    refuse(header("'" + std::string(other) + "'", "(1,)"), "dtype \"" + std::string(other) + "\" is not read");
  refuse(npy_bytes("{'descr': '<u8', 'fortran_order': False, 'shape': (1,)}", bytes_of<std::uint64_t>({~0ull})),
         "18446744073709551615");
  refuse(header("'<f2'", "(3,)") + "12345", "[3] of 2-byte numbers does not fit the 5 bytes");
  refuse(header("[('x', '<f4')]", "(1,)"), "structured");
  refuse(header("'<f4'", "(4,)"), "[4] of 4-byte numbers does not fit the 0 bytes");
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
  const std::filesystem::path two = folder / "a.npz", one = folder / "b.npz", none = folder / "c.npz";
  put(two, zip({{"x.npy", small_array(1), false}, {"y.npy", small_array(9), true}, {"notes.txt", "text"}}));
  EXPECT_EQ(names_of_npz(two), (std::vector<std::string>{"x", "y", "notes.txt"}));
  EXPECT_EQ(values_of<float>(read_npz(two, "x")), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(values_of<float>(read_npz(two, "y")), (std::vector<float>{9, 2, 3, 4}));
  expect_input_error(two, "3 arrays: name one of \"x\", \"y\", \"notes.txt\"", [&] { read_npz(two); });
  expect_input_error(two, "no array \"z\"; it holds \"x\", \"y\"", [&] { read_npz(two, "z"); });
  put(one, zip({{"x.npy", small_array(7), true}}));
  EXPECT_EQ(values_of<float>(read_npz(one)), (std::vector<float>{7, 2, 3, 4}));
  EXPECT_EQ(values_of<float>(read_npz(one, "x")), (std::vector<float>{7, 2, 3, 4}));
  put(none, zip({}));
  EXPECT_TRUE(names_of_npz(none).empty());
  expect_input_error(none, "no array", [&] { read_npz(none); });
}

TEST(Npz, NamesWhatItRefuses) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& bytes, std::string_view words) {
    put(folder / "a.npz", bytes);
    expect_input_error(folder / "a.npz", words, [&] { read_npz(folder / "a.npz"); });
  };
  put(folder / "a.npz", zip({{"x.npy", small_array(1)}, {"x.npy", small_array(2)}}));
  expect_input_error(folder / "a.npz", "two of its arrays are named \"x\"", [&] { read_npz(folder / "a.npz", "x"); });
  refuse(zip({{"x.npy", small_array(1), true}}, 0xfffffffe), "declares 4294967294 bytes");
  refuse(zip({{"x.npy", small_array(1), true}}, 0xffffffff), "zip64");
  refuse(zip({{"x.npy", small_array(1)}}, 8), "declares 8 bytes");
  refuse(zip({{"x.npy", small_array(1), true}}, 8), "go on after");
  refuse(zip({{"x.npy", small_array(1), true}}, 1000), "too early");
  refuse(zip({{"x\n.txt", "text"}}), "x\\x0a.txt");
  refuse("no zip", "no zip directory");
  // Ten megabytes of zeros in ten kilobytes: allowed by the ratio, refused by the limit.
  put(folder / "a.npz", zip({{"x.npy", std::string(10000000, '\0'), true}}));
  expect_input_error(folder / "a.npz", "limit of 1000000", [&] { read_npz(folder / "a.npz", std::nullopt, 1000000); });
}

TEST(Npz, SurvivesDamage) {
  const TemporaryFolder folder;
  const std::string bytes = zip({{"x.npy", small_array(1), false}, {"y.npy", small_array(9), true}});
  const auto load = [](const std::filesystem::path& path) {
    for (const std::string& name : names_of_npz(path)) read_npz(path, name);
  };
  expect_truncations_refused(bytes, folder / "b.npz", load);
  EXPECT_GT(survive_damage(bytes, folder / "b.npz", 3000, load), 1000);
}

}  // namespace
}  // namespace otnfm
