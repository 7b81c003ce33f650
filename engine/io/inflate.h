// Decompression (zlib) into memory whose size the caller has already checked: nothing grows with what the stream
// claims.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace otnfm {

/// Deflate cannot shrink data by more than 1032 to 1, so a declared size beyond this many bytes cannot be true.
constexpr std::int64_t most_inflated(std::int64_t compressed_bytes) {
  return compressed_bytes * 1032 + 1032;
}

enum class DeflateFormat {
  gzip,  ///< with gzip's header and checksum; members that follow one another are one stream, as in gzip itself
  raw,   ///< as in a zip archive
};

/// Reads a compressed stream that is in memory. `compressed` must outlive it; errors (InputError) begin with `path`.
class Inflater {
 public:
  Inflater(std::span<const std::byte> compressed, DeflateFormat format, std::string path);
  ~Inflater();

  /// Fills `out`; InputError where the stream ends before, or is damaged.
  void read(std::span<std::byte> out);
  /// InputError unless the stream ends here, its checksum is right, and nothing follows it.
  void expect_end();

 private:
  struct State;
  std::size_t advance(std::span<std::byte> out);  ///< returns the number of bytes made, 0 at the end

  std::unique_ptr<State> state_;
};

/// Whether these bytes begin as a gzip file does.
bool is_gzip(std::span<const std::byte> bytes);

}  // namespace otnfm
