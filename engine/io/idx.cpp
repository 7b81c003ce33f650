#include "engine/io/idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "engine/io/inflate.h"
#include "engine/io/input_file.h"
#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

// The content of a file, plain or compressed, read from its beginning. A plain one is never in memory as a whole.
class Content {
 public:
  explicit Content(const std::filesystem::path& path) : file_(path, kMaxIdxBytes) {
    std::array<std::byte, 2> begin{};
    if (file_.size() < std::ssize(begin)) return;
    file_.read(0, begin);
    if (!is_gzip(begin)) return;
    bytes_ = allocate_bytes(file_.size(), name());
    file_.read(0, bytes_);
    inflater_.emplace(bytes_, DeflateFormat::gzip, name());
  }

  const std::string& name() const { return file_.path(); }
  /// A bound on what is still to come: exact for a plain file.
  std::int64_t most_remaining() const { return inflater_ ? most_inflated(file_.size()) : file_.size() - at_; }
  void read(std::span<std::byte> out) {
    if (inflater_) return inflater_->read(out);
    const auto count = static_cast<std::int64_t>(out.size());
    if (count > most_remaining()) fail_input(name(), fmt::format("ends {} bytes too early", count - most_remaining()));
    file_.read(at_, out);
    at_ += count;
  }
  void expect_end() {
    if (inflater_) return inflater_->expect_end();
    if (most_remaining() != 0) fail_input(name(), fmt::format("{} bytes follow its declared end", most_remaining()));
  }

 private:
  InputFile file_;
  std::vector<std::byte> bytes_;  // of a compressed file
  std::int64_t at_ = 0;
  std::optional<Inflater> inflater_;
};

std::vector<std::uint8_t> read_idx(const std::filesystem::path& path, std::span<std::int64_t> shape) {
  constexpr std::byte kUnsignedByte{0x08};
  Content content(path);
  std::byte magic[4];
  content.read(magic);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0})
    fail_input(content.name(), "is not an IDX file (it does not begin with two zero bytes)");
  if (magic[2] != kUnsignedByte)
    fail_input(content.name(), fmt::format("its elements are of type 0x{:02x}, wanted unsigned bytes (0x08)",
                                           static_cast<unsigned>(magic[2])));
  if (static_cast<std::size_t>(magic[3]) != shape.size())
    fail_input(content.name(), fmt::format("its rank is {}, wanted {}", static_cast<unsigned>(magic[3]), shape.size()));
  for (std::int64_t& size : shape) {
    std::byte bytes[4];
    content.read(bytes);
    size = 0;
    for (std::byte b : bytes) size = size << 8 | static_cast<std::int64_t>(b);
  }
  const std::int64_t bytes = checked_bytes(shape, 1);
  if (bytes < 0 || bytes > std::min(kMaxIdxBytes, content.most_remaining()))
    fail_input(content.name(), fmt::format("declares {}, more than the file can hold", shape_text(shape)));
  std::vector<std::uint8_t> values(static_cast<std::size_t>(bytes));
  content.read(std::as_writable_bytes(std::span(values)));
  content.expect_end();
  return values;
}

std::optional<std::filesystem::path> find(const std::filesystem::path& folder, const std::string& stem,
                                          const char* kind) {
  for (const char* joint : {"-", "."})
    for (const char* ending : {"", ".gz"}) {
      const std::filesystem::path path = folder / (stem + joint + kind + "-ubyte" + ending);
      std::error_code ignored;
      if (std::filesystem::is_regular_file(path, ignored)) return path;
    }
  return std::nullopt;
}

}  // namespace

IdxImages read_idx_images(const std::filesystem::path& path) {
  IdxImages images;
  std::int64_t shape[3];
  images.pixels = read_idx(path, shape);
  if (shape[1] == 0 || shape[2] == 0)
    fail_input(path.string(), fmt::format("its images are {} by {}", shape[1], shape[2]));
  images.count = shape[0];
  images.rows = shape[1];
  images.columns = shape[2];
  return images;
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path) {
  std::int64_t shape[1];
  return read_idx(path, shape);
}

Mnist load_mnist(const std::filesystem::path& folder, Split split) {
  const std::string prefix = split == Split::train ? "train" : "t10k";
  const auto images = find(folder, prefix + "-images", "idx3");
  if (!images)
    fail_input(folder.string(),
               fmt::format("holds neither {0}-images-idx3-ubyte nor {0}-images-idx3-ubyte.gz", prefix));
  Mnist mnist;
  mnist.images = read_idx_images(*images);
  if (const auto labels = find(folder, prefix + "-labels", "idx1")) {
    mnist.labels = read_idx_labels(*labels);
    if (static_cast<std::int64_t>(mnist.labels.size()) != mnist.images.count)
      fail_input(labels->string(),
                 fmt::format("holds {} labels for {} images", mnist.labels.size(), mnist.images.count));
  }
  return mnist;
}

}  // namespace otnfm
