#include "engine/io/text.h"

#include <fmt/format.h>

#include "kernels/error.h"

namespace otnfm {

std::string quote(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string result = "\"";
  for (char c : text.substr(0, kShown)) {
    if (c < ' ' || c > '~' || c == '"' || c == '\\')
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      result += c;
  }
  return result + (text.size() > kShown ? "...\"" : "\"");
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

void fail_input(const std::string& path, const std::string& what) {
  throw InputError(path + ": " + what);
}

std::int64_t checked_bytes(std::span<const std::int64_t> shape, std::int64_t item_bytes) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  std::int64_t product = item_bytes;
  bool empty = false;
  for (std::int64_t size : shape) {
    if (size < 0) return -1;
    if (size == 0) {
      empty = true;
      continue;
    }
    if (product > kMost / size) return -1;
    product *= size;
  }
  return empty ? 0 : product;
}

}  // namespace otnfm
