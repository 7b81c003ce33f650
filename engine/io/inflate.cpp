#include "engine/io/inflate.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

struct Inflater::State {
  z_stream stream{};
  std::span<const std::byte> remaining;  ///< what zlib has not been given yet: its counters hold 32 bits only
  DeflateFormat format;
  std::string path;
  bool finished = false;
};

Inflater::Inflater(std::span<const std::byte> compressed, DeflateFormat format, std::string path)
    : state_(std::make_unique<State>()) {
  state_->remaining = compressed;
  state_->format = format;
  state_->path = std::move(path);
  const int window = format == DeflateFormat::gzip ? MAX_WBITS + 16 : -MAX_WBITS;
  if (inflateInit2(&state_->stream, window) != Z_OK) throw RunError(state_->path + ": zlib could not start");
}

Inflater::~Inflater() {
  inflateEnd(&state_->stream);
}

std::size_t Inflater::advance(std::span<std::byte> out) {
  constexpr std::size_t kChunk = std::numeric_limits<uInt>::max() / 2;
  State& s = *state_;
  std::size_t made = 0;
  while (made < out.size() && !s.finished) {
    if (s.stream.avail_in == 0 && !s.remaining.empty()) {
      const std::size_t count = std::min(kChunk, s.remaining.size());
      // zlib's interface predates const; it does not write here.
      s.stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(s.remaining.data()));
      s.stream.avail_in = static_cast<uInt>(count);
      s.remaining = s.remaining.subspan(count);
    }
    const std::size_t wanted = std::min(kChunk, out.size() - made);
    s.stream.next_out = reinterpret_cast<Bytef*>(out.data() + made);
    s.stream.avail_out = static_cast<uInt>(wanted);
    const int code = inflate(&s.stream, Z_NO_FLUSH);
    made += wanted - s.stream.avail_out;
    if (code == Z_STREAM_END) {
      const bool more = s.stream.avail_in != 0 || !s.remaining.empty();
      if (s.format == DeflateFormat::gzip && more)
        inflateReset(&s.stream);
      else
        s.finished = true;
    } else if (code == Z_BUF_ERROR ||
               (code == Z_OK && s.stream.avail_in == 0 && s.remaining.empty() && s.stream.avail_out != 0)) {
      fail_input(s.path, "its compressed data end too early");
    } else if (code == Z_MEM_ERROR) {
      throw RunError(s.path + ": not enough memory to decompress it");
    } else if (code != Z_OK) {
      fail_input(s.path,
                 fmt::format("its compressed data are damaged ({})", s.stream.msg ? s.stream.msg : "zlib error"));
    }
  }
  return made;
}

void Inflater::read(std::span<std::byte> out) {
  const std::size_t made = advance(out);
  if (made != out.size())
    fail_input(state_->path, fmt::format("its compressed data end {} bytes too early", out.size() - made));
}

void Inflater::expect_end() {
  std::byte extra{};
  if (advance({&extra, 1}) != 0) fail_input(state_->path, "its compressed data go on after their declared end");
  if (state_->stream.avail_in != 0 || !state_->remaining.empty())
    fail_input(state_->path, "other bytes follow its compressed data");
}

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

}  // namespace otnfm
