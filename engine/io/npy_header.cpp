#include "engine/io/npy_header.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "engine/io/text.h"
#include "kernels/error.h"
#include "kernels/view.h"

namespace otnfm {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// What stands behind the byte order: kind and bytes of an element.
constexpr std::pair<std::string_view, NpyType> kTypes[] = {
    {"f2", NpyType::float16}, {"f4", NpyType::float32}, {"f8", NpyType::float64}, {"i1", NpyType::int8},
    {"i2", NpyType::int16},   {"i4", NpyType::int32},   {"i8", NpyType::int64},   {"u1", NpyType::uint8},
    {"u2", NpyType::uint16},  {"u4", NpyType::uint32},  {"u8", NpyType::uint64},  {"b1", NpyType::boolean},
};

// What is written.
constexpr std::pair<std::string_view, DType> kDescriptions[] = {
    {"<f4", DType::float32}, {"<f8", DType::float64}, {"<i4", DType::int32},
    {"<i8", DType::int64},   {"|u1", DType::uint8},   {"<u8", DType::uint64},
};

// A recursive-descent parser of exactly the dictionary that the format allows, and of nothing else of Python.
class DictionaryParser {
 public:
  DictionaryParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void parse(NpyHeader& header) {
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !std::exchange(has_descr, true))
        parse_description(header);
      else if (key == "fortran_order" && !std::exchange(has_order, true))
        header.fortran_order = boolean();
      else if (key == "shape" && !std::exchange(has_shape, true))
        parse_shape(header);
      else
        fail_input(name_, "its header has a repeated or unknown key " + quote(key));
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (at_ != text_.size()) fail("the end");
    if (!has_descr || !has_order || !has_shape) fail_input(name_, "its header lacks descr, fortran_order or shape");
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  bool accept(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("'{}'", c));
  }
  [[noreturn]] void fail(const std::string& wanted) const {
    fail_input(name_, fmt::format("its header has {} at character {}, wanted {}",
                                  at_ < text_.size() ? quote(text_.substr(at_, 12)) : "nothing", at_, wanted));
  }
  std::string_view string() {
    skip_blanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail("a string");
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) fail("a string that ends");
    const std::string_view result = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return result;
  }
  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    fail("True or False");
  }
  void parse_description(NpyHeader& header) {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '[') fail_input(name_, "structured dtypes are not supported");
    const std::string_view description = string();
    for (const auto& [known, type] : kTypes) {
      if (description.size() != 3 || description.substr(1) != known) continue;
      header.item_bytes = known[1] - '0';
      header.type = type;
      header.big_endian = description[0] == '>';
      // A single byte has no order, and is written as either.
      if (std::string_view(header.item_bytes == 1 ? "<>|" : "<>").find(description[0]) != std::string_view::npos)
        return;
    }
    fail_input(name_, fmt::format("dtype {} is not read: wanted float16, float32, float64, a bool, or an integer of 8, "
                                  "16, 32 or 64 bits",
                                  quote(description)));
  }
  void parse_shape(NpyHeader& header) {
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      std::int64_t size = 0;
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error == std::errc::result_out_of_range) fail("a size below 2^63");
      if (error != std::errc{}) fail("a size");
      at_ += static_cast<std::size_t>(end - begin);
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
      header.shape.push_back(size);
      if (header.shape.size() > kMaxRank)
        fail_input(name_, fmt::format("its rank is above {}, the most that is supported", kMaxRank));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> prefix, std::int64_t file_bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(prefix.data()), prefix.size());
  if (text.size() < 10 || text.substr(0, kMagic.size()) != kMagic)
    fail_input(name, "is not an .npy file (it does not begin with \\x93NUMPY and a header)");
  const auto byte_at = [&](std::size_t i) { return static_cast<std::int64_t>(prefix[i]); };
  const std::int64_t major = byte_at(6);
  if (major < 1 || major > 3)
    fail_input(name, fmt::format("its .npy format version is {}.{}, known are 1 to 3", major, byte_at(7)));
  std::int64_t length = byte_at(8) | byte_at(9) << 8;
  std::int64_t begin = 10;
  if (major > 1) {
    if (text.size() < 12) fail_input(name, "ends within its header");
    length |= byte_at(10) << 16 | byte_at(11) << 24;
    begin = 12;
  }
  if (length > kMaxNpyHeaderBytes)
    fail_input(name, fmt::format("its header declares {} bytes, the limit is {}", length, kMaxNpyHeaderBytes));
  if (length > static_cast<std::int64_t>(text.size()) - begin)
    fail_input(name, fmt::format("its header declares {} bytes, the file holds {}", length, file_bytes - begin));

  NpyHeader header;
  DictionaryParser(text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(length)), name).parse(header);
  header.data_offset = begin + length;
  header.data_bytes = checked_bytes(header.shape, header.item_bytes);
  const std::int64_t held = file_bytes - header.data_offset;
  if (header.data_bytes != held)
    fail_input(name,
               fmt::format("its shape {} of {}-byte numbers does not fit the {} bytes of data that the file holds",
                           shape_text(header.shape), header.item_bytes, held));
  return header;
}

std::string format_npy_header(DType dtype, std::span<const std::int64_t> shape) {
  std::string_view description;
  for (const auto& [known, known_dtype] : kDescriptions)
    if (known_dtype == dtype) description = known;
  if (description.empty()) throw InputError(fmt::format(".npy has no dtype {}", name_of(dtype)));
  std::string sizes;
  for (std::int64_t size : shape) sizes += fmt::format("{}, ", size);
  if (shape.size() > 1) sizes.resize(sizes.size() - 2);
  if (shape.size() == 1) sizes.resize(sizes.size() - 1);  // (3,): the comma makes it a tuple
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", description, sizes);
  dictionary.append(63 - (10 + dictionary.size()) % 64, ' ');
  dictionary += '\n';

  std::string header(kMagic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(dictionary.size() & 0xff);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

}  // namespace otnfm
