#include "engine/io/safetensors.h"

#include <cstring>

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

std::string with_header(const std::string& json, const std::string& data) {
  return little_endian(json.size(), 8) + json + data;
}

template <class T>
std::vector<T> values_of(const NamedTensor& tensor) {
  EXPECT_EQ(tensor.dtype, dtype_of<T>);
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

struct Sample {
  std::vector<float> weight = {1.5f, -2, 3, 4, 5, 6};
  std::vector<double> moment = {0.1, 0.2};
  std::vector<bfloat16> half = {bfloat16(1.0f), bfloat16(-2.0f), bfloat16(3.5f)};
  std::vector<std::int32_t> table = {-7};
  std::vector<std::int64_t> step = {123456789012345};
  std::vector<std::uint8_t> mask = {1, 0, 255};
  std::vector<std::uint64_t> seed = {~0ull};

  std::vector<NamedTensor> tensors() const {
    return {named_tensor("mask", View<const std::uint8_t>(mask.data(), {3})),
            named_tensor("block.0.weight", View<const float>(weight.data(), {2, 3})),
            named_tensor("moment", View<const double>(moment.data(), {1, 1, 2, 1})),
            named_tensor("half", View<const bfloat16>(half.data(), {3})),
            named_tensor("table", View<const std::int32_t>(table.data(), {1})),
            named_tensor("step", View<const std::int64_t>(step.data(), {1})),
            named_tensor("empty", View<const float>(nullptr, {0, 4})),
            named_tensor("seed", View<const std::uint64_t>(seed.data(), {1}))};
  }
};

TEST(Safetensors, RoundTrips) {
  const TemporaryFolder folder;
  const Sample sample;
  const Metadata metadata = {{"config", "{\"flow\": \"resnet\"}\n"}, {"name", "r\xc3\xa9seau"}};
  write_safetensors(folder / "a", sample.tensors(), metadata);
  SafetensorsFile loaded = SafetensorsFile::load(folder / "a");
  const SafetensorsFile file = std::move(loaded);
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_EQ(file.metadata().at("config"), metadata.at("config"));
  EXPECT_EQ(file.tensors().size(), 8u);
  EXPECT_EQ(values_of<float>(file.tensor("block.0.weight")), sample.weight);
  EXPECT_EQ(file.tensor("block.0.weight").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(values_of<double>(file.tensor("moment")), sample.moment);
  EXPECT_EQ(file.tensor("moment").shape, (std::vector<std::int64_t>{1, 1, 2, 1}));
  EXPECT_EQ(static_cast<float>(values_of<bfloat16>(file.tensor("half"))[2]), 3.5f);
  EXPECT_EQ(values_of<std::int32_t>(file.tensor("table")), sample.table);
  EXPECT_EQ(values_of<std::int64_t>(file.tensor("step")), sample.step);
  EXPECT_EQ(values_of<std::uint8_t>(file.tensor("mask")), sample.mask);
  EXPECT_EQ(values_of<std::uint64_t>(file.tensor("seed")), sample.seed);
  EXPECT_EQ(file.tensor("empty").shape, (std::vector<std::int64_t>{0, 4}));
  for (const NamedTensor& tensor : file.tensors())
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % size_of(tensor.dtype), 0u) << tensor.name;

  const std::vector<std::int64_t> shape = {2, 3}, other = {3, 2};
  EXPECT_EQ(file.values<float>("block.0.weight", shape), sample.weight);
  expect_input_error(folder / "a", "float32 [2, 3], wanted float32 [3, 2]",
                     [&] { file.values<float>("block.0.weight", other); });
  expect_input_error(folder / "a", "wanted float64 [2, 3]", [&] { file.values<double>("block.0.weight", shape); });
  expect_input_error(folder / "a", "no tensor \"bias\"", [&] { file.tensor("bias"); });
  EXPECT_TRUE(file.contains("mask"));
  EXPECT_FALSE(file.contains("bias"));
}

TEST(Safetensors, ReadsAFileMadeByHand) {
  const TemporaryFolder folder;
  put(folder / "a", with_header(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"__metadata__":{"k":"v"},)"
                                R"("a":{"data_offsets":[0,4],"shape":[],"dtype":"F32"}}   )",
                                std::string("\0\0\x80\x3f\x05\x06", 6)));
  const SafetensorsFile file = SafetensorsFile::load(folder / "a");
  EXPECT_EQ(values_of<float>(file.tensor("a")), std::vector<float>{1});
  EXPECT_TRUE(file.tensor("a").shape.empty());
  EXPECT_EQ(values_of<std::uint8_t>(file.tensor("b")), (std::vector<std::uint8_t>{5, 6}));
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.metadata().at("k"), "v");
  put(folder / "a", with_header("{}", ""));
  EXPECT_TRUE(SafetensorsFile::load(folder / "a").tensors().empty());
}

TEST(Safetensors, WritesTheSameBytesForTheSameTensorsInAnyOrder) {
  const TemporaryFolder folder;
  const Sample sample;
  std::vector<NamedTensor> tensors = sample.tensors();
  write_safetensors(folder / "a", tensors);
  std::reverse(tensors.begin(), tensors.end());
  write_safetensors(folder / "b", tensors);
  EXPECT_EQ(get(folder / "a"), get(folder / "b"));
}

TEST(Safetensors, NamesWhatItRefusesToWrite) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3, 4};
  const auto refuse = [&](std::vector<NamedTensor> tensors, const Metadata& metadata, std::string_view words) {
    expect_input_error(folder / "a", words, [&] { write_safetensors(folder / "a", tensors, metadata); });
    EXPECT_EQ(folder.files(), 0u);
  };
  const NamedTensor good = named_tensor("w", View<const float>(values.data(), {2, 2}));
  refuse({good, good}, {}, "used twice");
  NamedTensor bad = good;
  bad.name = "__metadata__";
  refuse({bad}, {}, "reserved");
  bad = good;
  bad.shape = {3, 2};
  refuse({bad}, {}, "[3, 2] with 16 bytes");
  bad = good;
  bad.name = "\xff";
  refuse({bad}, {}, "UTF-8");
  refuse({good}, {{"k", "\xc3"}}, "UTF-8");
  EXPECT_THROW(named_tensor("w", View<const float>(values.data(), {2, 2}).column_slice(0, 1)), InputError);
  EXPECT_THROW(named_tensor("w", View<const float>()), InputError);
}

TEST(Safetensors, NamesWhatItRefusesToRead) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& bytes, std::string_view words) {
    put(folder / "a", bytes);
    expect_input_error(folder / "a", words, [&] { SafetensorsFile::load(folder / "a"); });
  };
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"("w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const std::string four(4, 'x'), eight(8, 'x');
  refuse("abc", "3 bytes");
  refuse(little_endian(~0ull, 8), "18446744073709551615");
  refuse(little_endian(1ull << 63, 8) + "{}", "9223372036854775808");
  refuse(little_endian(3, 8) + "{}", "declares a header of 3 bytes; the file holds 2");
  refuse(with_header("[]", ""), "not a JSON object");
  refuse(with_header("", ""), "not JSON");
  refuse(with_header("{} {}", ""), "not JSON");
  refuse(with_header("{\"w\xff\":1}", ""), "not JSON");
  refuse(with_header("{" + one("\"F32\"", "[1]", "[0,4]") + "," + one("\"F32\"", "[1]", "[4,8]") + "}", eight),
         "\"w\" twice");
  refuse(with_header(R"({"w":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four),
         "\"dtype\" twice");
  refuse(with_header(R"({"w":{"dtype":"F32","shape":[[[1]]],"data_offsets":[0,4]}})", four), "nested");
  refuse(with_header("{\"w\":" + std::string(100000, '['), ""), "nested");
  refuse(with_header("{" + one("\"F16\"", "[2]", "[0,4]") + "}", four), "F16");
  refuse(with_header("{" + one("7", "[1]", "[0,4]") + "}", four), "dtype is not a string");
  refuse(with_header("{" + one("\"F32\"", "1", "[0,4]") + "}", four), "shape is not a list");
  refuse(with_header("{" + one("\"F32\"", "[-1]", "[0,4]") + "}", four), "\"-1\"");
  refuse(with_header("{" + one("\"F32\"", "[1.0]", "[0,4]") + "}", four), "\"1.0\"");
  refuse(with_header("{" + one("\"F32\"", "[1e400]", "[0,4]") + "}", four), "a number beyond");
  refuse(with_header("{" + one("\"F32\"", "[99999999999999999999]", "[0,4]") + "}", four), "entry");
  refuse(with_header("{" + one("\"F32\"", "[1,1,1,1,1]", "[0,4]") + "}", four), "5 entries");
  refuse(with_header("{" + one("\"F32\"", "[4294967296,4294967296]", "[0,0]") + "}", ""), "does not fill");
  refuse(with_header("{" + one("\"F32\"", "[0,4294967296,4294967296]", "[0,0]") + "}", ""), "does not fill");
  refuse(with_header("{" + one("\"F32\"", "[2]", "[0,4]") + "}", four), "[2] of float32 does not fill its 4 bytes");
  refuse(with_header("{" + one("\"F32\"", "[1]", "[0]") + "}", four), "data_offsets [0]");
  refuse(with_header("{" + one("\"F32\"", "[1]", "[4,0]") + "}", four), "[4, 0]");
  refuse(with_header("{" + one("\"F32\"", "[1]", "[0,8]") + "}", four), "[0, 8] do not lie in the 4 bytes");
  refuse(with_header("{" + one("\"F32\"", "[1]", "[4,8]") + "}", eight), "a gap");
  refuse(with_header("{" + one("\"F32\"", "[1]", "[0,4]") + "}", eight), "end at byte 4 of 8");
  refuse(with_header("{" + one("\"F32\"", "[1]", "[0,4]") + R"(,"v":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
                     eight),
         "an overlap");
  refuse(with_header(R"({"w":{"dtype":"F32","shape":[1]}})", four), "lacks data_offsets");
  refuse(with_header(R"({"w":3})", ""), "not described by an object");
  refuse(with_header(R"({"__metadata__":{"k":1}})", ""), "metadata \"k\" is not a string");
  refuse(with_header(R"({"__metadata__":[]})", ""), "__metadata__ is not an object");
  expect_input_error(folder / "a", "limit of 9", [&] { SafetensorsFile::load(folder / "a", 9); });
}

TEST(Safetensors, SurvivesDamage) {
  const TemporaryFolder folder;
  const Sample sample;
  write_safetensors(folder / "a", sample.tensors(), {{"config", "{}"}});
  const std::string bytes = get(folder / "a");
  const auto load = [](const std::filesystem::path& path) { SafetensorsFile::load(path); };
  expect_truncations_refused(bytes, folder / "b", load);
  EXPECT_GT(survive_damage(bytes, folder / "b", 3000, load), 1000);
}

}  // namespace
}  // namespace otnfm
