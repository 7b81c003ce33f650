// The files of data sets: IDX, CIFAR-10, OR-Library; made by hand, damaged, and the real ones where they are at hand.
#include <zlib.h>

#include <cstring>

#include "engine/io/cifar10.h"
#include "engine/io/idx.h"
#include "engine/io/lap.h"
#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::big_endian;
using testing::data_folder;
using testing::expect_input_error;
using testing::expect_truncations_refused;
using testing::put;
using testing::survive_damage;
using testing::TemporaryFolder;

std::string idx(std::initializer_list<std::uint64_t> shape, const std::string& data, char type = 8) {
  std::string bytes{0, 0, type, static_cast<char>(shape.size())};
  for (std::uint64_t size : shape) bytes += big_endian(size, 4);
  return bytes + data;
}

std::string gzip(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, content.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

const std::string kTwelve("\0\1\2\3\4\5\6\7\x8\x9\xfe\xff", 12);

void expect_twelve(const IdxImages& images) {
  EXPECT_EQ(images.count, 2);
  EXPECT_EQ(images.rows, 3);
  EXPECT_EQ(images.columns, 2);
  EXPECT_EQ(std::string(images.pixels.begin(), images.pixels.end()), kTwelve);
}

TEST(Idx, ReadsPlainAndCompressed) {
  const TemporaryFolder folder;
  const std::string bytes = idx({2, 3, 2}, kTwelve);
  put(folder / "a", bytes);
  expect_twelve(read_idx_images(folder / "a"));
  put(folder / "a", gzip(bytes));
  expect_twelve(read_idx_images(folder / "a"));
  put(folder / "a", gzip(bytes.substr(0, 7)) + gzip(bytes.substr(7)));  // two members, as `cat a.gz b.gz` makes
  expect_twelve(read_idx_images(folder / "a"));
  put(folder / "a", idx({3}, "\1\2\3"));
  EXPECT_EQ(read_idx_labels(folder / "a"), (std::vector<std::uint8_t>{1, 2, 3}));
  put(folder / "a", idx({0, 3, 2}, ""));
  EXPECT_EQ(read_idx_images(folder / "a").count, 0);
}

TEST(Idx, NamesWhatItRefuses) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& bytes, std::string_view words) {
    for (const std::string& content : {bytes, gzip(bytes)}) {
      put(folder / "a", content);
      expect_input_error(folder / "a", words, [&] { read_idx_images(folder / "a"); });
    }
  };
  refuse("PNG and more", "is not an IDX file");
  refuse(idx({2, 3, 2}, kTwelve, 0xD), "type 0x0d");
  refuse(idx({2, 3}, kTwelve), "rank is 2, wanted 3");
  refuse(idx({0xffffffff, 0xffffffff, 0xffffffff}, ""), "[4294967295, 4294967295, 4294967295]");
  refuse(idx({0x10000, 0x10000, 0x10000}, ""), "more than the file can hold");  // 2^48
  refuse(idx({0, 0xffffffff, 0xffffffff}, "x"), "");
  refuse(idx({2, 0, 0}, ""), "0 by 0");
  refuse(idx({3, 3, 2}, kTwelve), "");
  put(folder / "a", idx({2, 3, 2}, kTwelve + "x"));
  expect_input_error(folder / "a", "1 bytes follow", [&] { read_idx_images(folder / "a"); });
  put(folder / "a", gzip(idx({2, 3, 2}, kTwelve + "x")));
  expect_input_error(folder / "a", "go on after", [&] { read_idx_images(folder / "a"); });
  put(folder / "a", gzip(idx({2, 3, 2}, kTwelve)) + "x");
  expect_input_error(folder / "a", "", [&] { read_idx_images(folder / "a"); });
}

TEST(Idx, SurvivesDamage) {
  const TemporaryFolder folder;
  const auto load = [](const std::filesystem::path& path) { read_idx_images(path); };
  const std::string bytes = idx({2, 3, 2}, kTwelve);
  expect_truncations_refused(bytes, folder / "a", load);
  expect_truncations_refused(gzip(bytes), folder / "a", load);
  EXPECT_GT(survive_damage(bytes, folder / "a", 2000, load), 500);
  EXPECT_GT(survive_damage(gzip(bytes), folder / "a", 2000, load), 500);
}

TEST(Mnist, FindsItsFilesUnderEitherName) {
  const TemporaryFolder folder;
  expect_input_error(folder.path(), "neither train-images-idx3-ubyte nor",
                     [&] { load_mnist(folder.path(), Split::train); });
  put(folder / "train-images-idx3-ubyte", idx({2, 3, 2}, kTwelve));
  expect_twelve(load_mnist(folder.path(), Split::train).images);
  EXPECT_TRUE(load_mnist(folder.path(), Split::train).labels.empty());
  put(folder / "t10k-images.idx3-ubyte.gz", gzip(idx({2, 3, 2}, kTwelve)));
  put(folder / "t10k-labels.idx1-ubyte", idx({2}, "\4\7"));
  EXPECT_EQ(load_mnist(folder.path(), Split::test).labels, (std::vector<std::uint8_t>{4, 7}));
  put(folder / "t10k-labels.idx1-ubyte", idx({3}, "\4\7\1"));
  expect_input_error(folder / "t10k-labels.idx1-ubyte", "3 labels for 2",
                     [&] { load_mnist(folder.path(), Split::test); });
}

TEST(Mnist, ReadsTheRealFiles) {
  const std::filesystem::path folder = data_folder() / "mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no MNIST in " << folder << " (set OTNFM_TEST_DATA)";
  const Mnist train = load_mnist(folder, Split::train), test = load_mnist(folder, Split::test);
  EXPECT_EQ(train.images.count, 60000);
  EXPECT_EQ(test.images.count, 10000);
  EXPECT_EQ(train.images.rows, 28);
  EXPECT_EQ(train.images.columns, 28);
  double sum = 0;
  for (std::uint8_t pixel : train.images.pixels) sum += pixel;
  EXPECT_NEAR(sum / static_cast<double>(train.images.pixels.size()) / 255, 0.1306604762738429, 1e-12);
  EXPECT_EQ(std::vector<std::uint8_t>(train.labels.begin(), train.labels.begin() + 5),
            (std::vector<std::uint8_t>{5, 0, 4, 1, 9}));
}

TEST(Cifar10, ReadsRecords) {
  const TemporaryFolder folder;
  std::string record(3073, '\0');
  for (std::size_t i = 1; i < record.size(); ++i) record[i] = static_cast<char>(i % 251);
  record[0] = 3;
  const std::string first = record;
  record[0] = 9;
  record[3072] = 77;
  put(folder / "test_batch.bin", first + record);
  const Cifar10 set = load_cifar10(folder.path(), Split::test);
  EXPECT_EQ(set.count, 2);
  EXPECT_EQ(set.labels, (std::vector<std::uint8_t>{3, 9}));
  EXPECT_EQ(set.pixels.size(), 6144u);
  EXPECT_EQ(set.pixels[0], 1);
  EXPECT_EQ(set.pixels[3072], 1);
  EXPECT_EQ(set.pixels[6143], 77);

  std::filesystem::create_directory(folder / "cifar-10-batches-bin");
  for (int batch = 1; batch <= 4; ++batch)
    put(folder / ("cifar-10-batches-bin/data_batch_" + std::to_string(batch) + ".bin"), first);
  expect_input_error(folder / "cifar-10-batches-bin/data_batch_5.bin", "No such file",
                     [&] { load_cifar10(folder.path(), Split::train); });
  put(folder / "cifar-10-batches-bin/data_batch_5.bin", record);
  const Cifar10 train = load_cifar10(folder.path(), Split::train);
  EXPECT_EQ(train.labels, (std::vector<std::uint8_t>{3, 3, 3, 3, 9}));
  EXPECT_EQ(train.pixels.back(), 77);
}

TEST(Cifar10, NamesWhatItRefuses) {
  const TemporaryFolder folder;
  expect_input_error(folder.path(), "holds no data_batch_1.bin", [&] { load_cifar10(folder.path(), Split::train); });
  const auto refuse = [&](const std::string& bytes, std::string_view words) {
    put(folder / "a", bytes);
    expect_input_error(folder / "a", words, [&] { read_cifar10_batch(folder / "a"); });
  };
  refuse("", "0 bytes");
  refuse(std::string(3072, '\0'), "3072 bytes");
  refuse(std::string(3073, '\0') + std::string(3073, '\n'), "record 1 has label 10");
}

TEST(Cifar10, ReadsTheRealFiles) {
  const std::filesystem::path folder = data_folder() / "cifar-10-batches-bin";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no CIFAR-10 in " << folder << " (set OTNFM_TEST_DATA)";
  const Cifar10 train = load_cifar10(folder, Split::train);
  EXPECT_EQ(train.count, 50000);
  EXPECT_EQ(load_cifar10(data_folder(), Split::test).count, 10000);
  const double means[3] = {0.49139968, 0.48215841, 0.44653091};
  for (int channel = 0; channel < 3; ++channel) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < train.count; ++i)
      for (int pixel = 0; pixel < 1024; ++pixel)
        sum += train.pixels[static_cast<std::size_t>(i * 3072 + pixel * 3 + channel)];
    EXPECT_NEAR(static_cast<double>(sum) / (255.0 * 1024 * 50000), means[channel], 1e-8);
  }
}

TEST(Lap, ReadsWhateverTheLineBreaks) {
  const TemporaryFolder folder;
  put(folder / "a", " 2\r\n1 -2\n\n\t+3\n9223372036854775807");
  const LapProblem problem = read_lap(folder / "a");
  EXPECT_EQ(problem.n, 2);
  EXPECT_EQ(problem.cost, (std::vector<std::int64_t>{1, -2, 3, 9223372036854775807}));
  EXPECT_EQ(problem.view()(1, 0), 3);
  put(folder / "a", "0\n");
  EXPECT_EQ(read_lap(folder / "a").n, 0);
}

TEST(Lap, NamesTheNumberAndItsLine) {
  const TemporaryFolder folder;
  const auto refuse = [&](const std::string& text, std::string_view words) {
    put(folder / "a", text);
    expect_input_error(folder / "a", words, [&] { read_lap(folder / "a"); });
  };
  refuse("", "line 1: ends where the size n should stand");
  refuse("x", "line 1: the size n is \"x\"");
  refuse("-1", "the size n is -1");
  refuse("1000000 1", "the size n is 1000000");
  refuse("9223372036854775807 1", "9223372036854775807");
  refuse("2\n1 2\n3     ", "line 3: ends where the cost of row 1, column 1");
  refuse("2\n1 2\n3.5 4\n", "line 3: the cost of row 1, column 0, counted from 0 (number 3 of 4) is \"3.5\"");
  refuse("2\n1 2\n3 99999999999999999999\n", "line 3: the cost of row 1, column 1, counted from 0 (number 4 of 4)");
  refuse("2\n1 2\n3 4\n\n5", "line 5: something follows");
  refuse("2\n1 2\n3 +-4\n", "\"+-4\"");
  refuse(std::string("2\n1 2\n3 \0 4", 11), "\\x00");
}

TEST(Lap, SurvivesDamage) {
  const TemporaryFolder folder;
  const auto load = [](const std::filesystem::path& path) { read_lap(path); };
  const std::string text = "3\n 1 22 3\n4 5 -6\n7 8 9";  // ends in one digit: every cut loses a number
  expect_truncations_refused(text, folder / "a", load);
  EXPECT_GT(survive_damage(text, folder / "a", 2000, load), 500);
}

TEST(Lap, ReadsTheRealFiles) {
  const std::filesystem::path folder = data_folder() / "lap";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "no OR-Library problems in " << folder << " (set OTNFM_TEST_DATA)";
  for (int n : {100, 200, 300}) {
    const LapProblem problem = read_lap(folder / ("assign" + std::to_string(n) + ".txt"));
    EXPECT_EQ(problem.n, n);
    EXPECT_GT(*std::min_element(problem.cost.begin(), problem.cost.end()), 0);
  }
  EXPECT_EQ(read_lap(folder / "assign100.txt").cost[1], 25);
}

}  // namespace
}  // namespace otnfm
