#include "engine/io/png_reader.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csetjmp>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <string_view>

#include "engine/io/inflate.h"
#include "engine/io/input_file.h"
#include "engine/io/text.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm {

namespace {

constexpr std::int64_t kMaxPngBytes = std::int64_t{1} << 30, kMaxImageBytes = (std::int64_t{1} << 31) - 1;

struct PngHeader {
  std::int64_t width = 0, height = 0, channels = 0;

  std::int64_t bytes() const { return width * height * channels; }
  bool operator==(const PngHeader&) const = default;
};

std::string text_of(const PngHeader& header) {
  return fmt::format("{} x {} with {}", header.width, header.height, header.channels == 1 ? "1 channel" : "3 channels");
}

// A file begins with its signature and the chunk IHDR: length, name, width, height, bits, colour, three methods, sum.
constexpr std::size_t kHeaderBytes = 33;

/// What a file of `file_bytes` in all that begins so declares, once it is known to be of the kind that is read.
PngHeader parse_png_header(std::span<const std::byte> begin, std::int64_t file_bytes, const std::string& name) {
  constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8), kFirstChunk("\0\0\0\x0dIHDR", 8);
  const std::string_view text(reinterpret_cast<const char*>(begin.data()), begin.size());
  if (text.substr(0, 8) != kSignature) fail_input(name, "is not a PNG file (it does not begin as one)");
  if (text.size() < kHeaderBytes || text.substr(8, 8) != kFirstChunk)
    fail_input(name, "is a damaged PNG file (it has no header)");
  const auto number_at = [&](std::size_t at) {
    std::int64_t number = 0;
    for (std::size_t i = at; i < at + 4; ++i) number = number << 8 | static_cast<std::int64_t>(begin[i]);
    return number;
  };
  const int bits = static_cast<int>(begin[24]), colour = static_cast<int>(begin[25]);
  if (bits == 16) fail_input(name, "has 16 bits a channel: wanted 8-bit grey or RGB");
  if (colour == PNG_COLOR_TYPE_PALETTE) fail_input(name, "has a palette: wanted 8-bit grey or RGB");
  if (colour == PNG_COLOR_TYPE_GRAY_ALPHA || colour == PNG_COLOR_TYPE_RGB_ALPHA)
    fail_input(name, "has an alpha channel: wanted 8-bit grey or RGB");
  if (colour != PNG_COLOR_TYPE_GRAY && colour != PNG_COLOR_TYPE_RGB)
    fail_input(name, fmt::format("is a damaged PNG file (its colour type is {})", colour));
  if (bits != 8) fail_input(name, fmt::format("has {} bits a channel: wanted 8-bit grey or RGB", bits));
  const PngHeader header{
      .width = number_at(16), .height = number_at(20), .channels = colour == PNG_COLOR_TYPE_GRAY ? 1 : 3};
  if (header.width < 1 || header.height < 1 || header.width > kMaxImageBytes / 3 ||
      header.height > kMaxImageBytes / 3 / header.width)
    fail_input(name, fmt::format("declares {} x {} pixels: wanted at least 1 and less than 2 GiB of them", header.width,
                                 header.height));
  if (header.bytes() > most_inflated(file_bytes))
    fail_input(name, fmt::format("declares {} x {} pixels, more than its {} bytes can hold", header.width,
                                 header.height, file_bytes));
  return header;
}

/// Decodes one image. libpng reports an error by longjmp, out of its own functions and out of the callbacks below:
/// those and decode() hold nothing that has a destructor.
class PngDecoder {
 public:
  explicit PngDecoder(std::span<const std::byte> bytes) : at_(bytes.data()), left_(bytes.size()) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  bool ready() const { return info_ != nullptr; }

  /// Into pixels [height, width, channels]. False where it failed; why() then says how.
  bool decode(const PngHeader& expected, std::uint8_t* pixels) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, on_read);
    png_set_user_limits(png_, static_cast<png_uint_32>(expected.width), static_cast<png_uint_32>(expected.height));
    // What stands beside the pixels is passed over, not unpacked: profiles, texts.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    if (png_get_valid(png_, info_, PNG_INFO_tRNS) != 0)
      png_error(png_, "it has a transparent colour: wanted 8-bit grey or RGB");
    if (png_get_image_width(png_, info_) != expected.width || png_get_image_height(png_, info_) != expected.height ||
        png_get_rowbytes(png_, info_) != static_cast<png_size_t>(expected.width * expected.channels))
      png_error(png_, "its header has changed");
    const int passes = png_set_interlace_handling(png_);
    png_start_read_image(png_);
    for (int pass = 0; pass < passes; ++pass)
      for (std::int64_t y = 0; y < expected.height; ++y)
        png_read_row(png_, pixels + y * expected.width * expected.channels, nullptr);
    png_read_end(png_, nullptr);
    return true;
  }
  const char* why() const { return message_.data(); }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto& self = *static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::strncpy(self.message_.data(), message, self.message_.size() - 1);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}
  static void on_read(png_structp png, png_bytep to, png_size_t count) {
    auto& self = *static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self.left_) png_error(png, "it ends too early");
    std::memcpy(to, self.at_, count);
    self.at_ += count;
    self.left_ -= count;
  }

  const std::byte* at_;
  std::size_t left_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::array<char, 160> message_{};
};

void decode_into(std::span<const std::byte> bytes, const PngHeader& header, const std::string& name,
                 std::uint8_t* pixels) {
  PngDecoder decoder(bytes);
  if (!decoder.ready()) throw RunError(name + ": libpng could not start");
  if (!decoder.decode(header, pixels)) {
    // What a message quotes of the file may be anything.
    std::string why = decoder.why();
    std::ranges::replace_if(
        why, [](char c) { return c < ' ' || c > '~'; }, '?');
    fail_input(name, "cannot be decoded: " + why);
  }
}

/// The beginning of a file, as far as parse_png_header() wants it.
PngHeader read_png_header(const InputFile& file) {
  std::array<std::byte, kHeaderBytes> begin{};
  const auto there = static_cast<std::size_t>(std::min<std::int64_t>(file.size(), kHeaderBytes));
  file.read(0, std::span(begin).first(there));
  return parse_png_header(std::span(begin).first(there), file.size(), file.path());
}

std::vector<std::filesystem::path> png_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if ((name.ends_with(".png") || name.ends_with(".PNG")) && name.front() != '.' && !entry->is_directory(ignored))
      files.push_back(entry->path());
  }
  if (error) fail_input(folder.string(), "cannot be read: " + error.message());
  std::ranges::sort(files, {}, [](const std::filesystem::path& path) { return path.native(); });
  return files;
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name) {
  const PngHeader header = parse_png_header(bytes, static_cast<std::int64_t>(bytes.size()), name);
  Image image(static_cast<int>(header.width), static_cast<int>(header.height), static_cast<int>(header.channels));
  decode_into(bytes, header, name, image.pixels.data());
  return image;
}

PngImages read_png_folder(const std::filesystem::path& folder) {
  const std::vector<std::filesystem::path> files = png_files(folder);
  if (files.empty()) fail_input(folder.string(), "holds no .png file");
  // All headers first: what each declares is checked against its own file before memory is taken for them all.
  PngHeader size;
  for (const std::filesystem::path& path : files) {
    const PngHeader header = read_png_header(InputFile(path, kMaxPngBytes));
    if (&path == files.data()) size = header;
    if (header != size)
      fail_input(path.string(), fmt::format("is {}, where {} is {}: wanted images of one size", text_of(header),
                                            files.front().filename().string(), text_of(size)));
  }
  PngImages images{
      .pixels = {}, .count = std::ssize(files), .height = size.height, .width = size.width, .channels = size.channels};
  try {
    images.pixels.resize(static_cast<std::size_t>(images.count * size.bytes()));
  } catch (const std::bad_alloc&) {
    throw RunError(
        fmt::format("{}: not enough memory for {} images of {} bytes", folder.string(), images.count, size.bytes()));
  }

  // Of several files that are wrong the first is named, whichever thread comes to it.
  std::atomic<std::int64_t> wrong{images.count};
  std::exception_ptr error;
  std::mutex mutex;
  const auto load = [&](std::int64_t i) {
    const InputFile file(files[static_cast<std::size_t>(i)], kMaxPngBytes);
    std::vector<std::byte> bytes = allocate_bytes(file.size(), file.path());
    file.read(0, bytes);
    if (parse_png_header(bytes, file.size(), file.path()) != size)
      fail_input(file.path(), "has changed while it was read");
    decode_into(bytes, size, file.path(), images.pixels.data() + i * size.bytes());
  };
  host::parallel_items(0, images.count, 16, host::thread_count(), [&](std::int64_t i, int) {
    if (i > wrong) return;
    try {
      load(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (i > wrong) return;
      wrong = i;
      error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
  return images;
}

}  // namespace otnfm
