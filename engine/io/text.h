// Words for error messages. Names that come out of a file may hold anything, and an error is one line.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace otnfm {

/// `text` in double quotes, control characters, quotes, backslashes and bytes above 126 as \xNN, cut after 80 bytes.
std::string quote(std::string_view text);

/// "[256, 64]".
std::string shape_text(std::span<const std::int64_t> shape);

/// Throws InputError with "PATH: WHAT".
[[noreturn]] void fail_input(const std::string& path, const std::string& what);

/// The number of bytes of an array, the product of `shape` and `item_bytes`; -1 where a size is negative, or where the
/// product of the sizes that are not 0 exceeds 2^62: such a shape is refused even if another size is 0, since strides
/// of it overflow.
std::int64_t checked_bytes(std::span<const std::int64_t> shape, std::int64_t item_bytes);

}  // namespace otnfm
