#include "engine/io/csv.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>
#include <type_traits>

#include "engine/io/atomic_file.h"
#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

/// A field's number: whole where it is written as a whole one and fits.
struct Number {
  bool is_number = false, is_whole = false;
  std::int64_t whole = 0;
  double real = 0;
};

Number number_of(std::string_view field) {
  Number number;
  if (field.starts_with('+')) {  // from_chars takes none
    field.remove_prefix(1);
    if (field.starts_with('+') || field.starts_with('-')) return number;
  }
  const char *begin = field.data(), *end = begin + field.size();
  if (const auto [at, error] = std::from_chars(begin, end, number.whole); error == std::errc{} && at == end) {
    number.is_number = number.is_whole = true;
    number.real = static_cast<double>(number.whole);
    return number;
  }
  const auto [at, error] = std::from_chars(begin, end, number.real);
  number.is_number = at == end && error != std::errc::invalid_argument;
  // Too small for a double is 0; too large is left infinite, for which the caller looks.
  if (number.is_number && error == std::errc::result_out_of_range)
    number.real = std::strtod(std::string(field).c_str(), nullptr);
  return number;
}

/// Takes the next field off `line`. `separator` ' ' stands for any number of blanks.
std::string_view next_field(std::string_view& line, char separator, bool& more) {
  std::size_t end = 0;
  bool quoted = false;
  const auto ends = [&](char c) { return separator == ' ' ? c == ' ' || c == '\t' : c == separator; };
  for (; end < line.size() && (quoted || !ends(line[end])); ++end)
    if (line[end] == '"') quoted = !quoted;
  std::string_view field = trimmed(line.substr(0, end));
  more = end < line.size();
  line.remove_prefix(more ? end + 1 : end);
  if (separator == ' ') {
    while (!line.empty() && ends(line.front())) line.remove_prefix(1);
    more = !line.empty();
  }
  if (field.size() >= 2 && field.front() == '"' && field.back() == '"') field = field.substr(1, field.size() - 2);
  return trimmed(field);
}

char separator_of(std::string_view line) {
  for (const char candidate : {',', ';', '\t'}) {
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') quoted = !quoted;
      if (!quoted && c == candidate) return candidate;
    }
  }
  return ' ';
}

class CsvParser {
 public:
  CsvParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  NpyArray parse() {
    if (text_.starts_with("\xff\xfe") || text_.starts_with("\xfe\xff"))
      fail_input(name_, "is text in UTF-16: save it as UTF-8");
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
    while (!text_.empty()) {
      const std::size_t end = text_.find('\n');
      std::string_view line = text_.substr(0, end);
      text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
      ++line_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      const std::string_view content = trimmed(line);
      if (!content.empty() && content.front() != '#') parse_line(line);
    }
    if (rows_ == 0) fail_input(name_, "holds no line of numbers");
    return finish();
  }

 private:
  void parse_line(std::string_view line) {
    if (columns_ == 0) separator_ = separator_of(trimmed(line));
    if (separator_ == ' ') line = trimmed(line);
    const bool may_be_names = columns_ == 0;
    std::int64_t column = 0, numbers = 0;
    bool counts = true, counts_behind_the_first = true;  // 0, 1, 2, ... are the fields
    std::string first_other;
    std::int64_t first_other_column = 0;
    for (bool more = true; more;) {
      const std::string_view field = next_field(line, separator_, more);
      ++column;
      const Number number = number_of(field);
      counts = counts && number.is_whole && number.whole == column - 1;
      counts_behind_the_first =
          counts_behind_the_first && (column == 1 || (number.is_whole && number.whole == column - 2));
      if (number.is_number) {
        ++numbers;
        if (std::isinf(number.real) && field.find_first_of("0123456789") != std::string_view::npos)
          fail_input(name_, fmt::format("line {}, column {}: {} is too large", line_, column, quote(field)));
        push(number);
      } else if (first_other_column == 0) {
        first_other_column = column;
        first_other = field;
        if (!may_be_names) break;
      }
    }
    if (may_be_names && column > 1 && first_other_column == 1 && first_other.empty() &&
        (numbers == 0 || counts_behind_the_first))
      fail_input(name_, fmt::format("line {}, column 1 has no name: a column that only numbers the rows is to be left "
                                    "out (pandas: index=False)",
                                    line_));
    if (first_other_column != 0) {
      const std::string wrong =
          fmt::format("line {}, column {}: {}{}", line_, first_other_column,
                      first_other.empty() ? "is empty" : quote(first_other) + " is not a number",
                      may_be_names ? " (a line of names, which comes first, has no numbers)" : "");
      // Blanks may part names, or stand inside of the name of the only column: the first row tells.
      may_be_one_name_ = may_be_names && separator_ == ' ';
      if (!may_be_names || (numbers > 0 && !may_be_one_name_)) fail_input(name_, wrong);
      if (numbers > 0) {
        wrong_unless_one_name_ = wrong;
        values_.clear();
        whole_ = true;
      }
      columns_ = column;
      names_line_ = line_;
      return;
    }
    if (columns_ == 0) {
      columns_ = column;
      names_line_ = line_;
      first_counts_ = counts;
    }
    if (rows_ == 0 && may_be_one_name_ && column == 1)
      columns_ = 1;
    else if (rows_ == 0 && !wrong_unless_one_name_.empty())
      fail_input(name_, wrong_unless_one_name_);
    if (column != columns_)
      fail_input(name_, fmt::format("line {} has {} columns, line {} has {}", line_, column, names_line_, columns_));
    ++rows_;
  }

  void push(const Number& number) {
    if (whole_ && !number.is_whole) {
      whole_ = false;
      for (std::uint64_t& value : values_) value = bits_of_real(static_cast<double>(static_cast<std::int64_t>(value)));
    }
    values_.push_back(whole_ ? static_cast<std::uint64_t>(number.whole) : bits_of_real(number.real));
  }
  static std::uint64_t bits_of_real(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
  }

  NpyArray finish() const {
    if (first_counts_ && rows_ > 1 && !whole_)
      fail_input(name_,
                 fmt::format("line {} counts the columns from 0, as pandas does where they have no names: leave it out "
                             "(pandas: header=False), or write its 0 as 0.0 where it is a row of numbers",
                             names_line_));
    NpyArray array{whole_ ? DType::int64 : DType::float64, {rows_, columns_}, {}};
    array.bytes = allocate_bytes(rows_ * columns_ * 8, name_);
    std::memcpy(array.bytes.data(), values_.data(), array.bytes.size());
    return array;
  }

  std::string_view text_;
  const std::string& name_;
  char separator_ = ',';
  std::int64_t line_ = 0, names_line_ = 0;  ///< names_line_: the first, which sets the number of columns
  std::int64_t rows_ = 0, columns_ = 0;
  bool first_counts_ = false;          ///< the first line is 0, 1, 2, ...
  bool may_be_one_name_ = false;       ///< the line of names, for all its blanks
  std::string wrong_unless_one_name_;  ///< with it, where it has numbers
  bool whole_ = true;                  ///< all so far, so that values_ holds int64; else the bits of doubles
  std::vector<std::uint64_t> values_;  ///< [rows_, columns_]
};

}  // namespace

NpyArray parse_csv(std::string_view text, const std::string& name) {
  try {
    return CsvParser(text, name).parse();
  } catch (const std::bad_alloc&) {
    throw RunError(fmt::format("{}: not enough memory for the numbers in its {} bytes", name, text.size()));
  }
}

NpyArray read_csv(const std::filesystem::path& path, std::int64_t max_bytes) {
  const std::vector<std::byte> bytes = read_file(path, max_bytes);
  return parse_csv({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

template <class T>
void write_csv(const std::filesystem::path& path, View<const T> values) {
  if (values.rank < 1 || values.rank > 2)
    fail_input(path.string(),
               fmt::format("an array of {} axes is no table of rows and columns: write it as .npy", values.rank));
  const std::int64_t rows = values.shape[0], columns = values.rank == 2 ? values.shape[1] : 1;
  const std::int64_t row_stride = values.stride[0], column_stride = values.rank == 2 ? values.stride[1] : 0;
  bool is_like_a_header = false;
  if constexpr (std::is_floating_point_v<T>) {
    bool counts = rows > 0;
    for (std::int64_t j = 0; j < columns && counts; ++j)
      counts = values.data[j * column_stride] == static_cast<T>(j) && !std::signbit(values.data[j * column_stride]);
    for (std::int64_t i = 1; i < rows && counts && !is_like_a_header; ++i)
      for (std::int64_t j = 0; j < columns; ++j) {
        const T value = values.data[i * row_stride + j * column_stride];
        is_like_a_header = is_like_a_header || !(value == std::trunc(value) && std::abs(value) < T{1e6});
      }
  }
  AtomicFile file(path);
  constexpr std::size_t kBuffered = std::size_t{1} << 20;
  std::string buffer;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      if (j > 0) buffer += ',';
      buffer += fmt::format("{}", values.data[i * row_stride + j * column_stride]);  // not format_to: compiled once
      if (i == 0 && is_like_a_header) buffer += ".0";
    }
    buffer += '\n';
    if (buffer.size() >= kBuffered) {
      file.write(buffer);
      buffer.clear();
    }
  }
  file.write(buffer);
  file.commit();
}

template void write_csv<float>(const std::filesystem::path&, View<const float>);
template void write_csv<double>(const std::filesystem::path&, View<const double>);
template void write_csv<std::int64_t>(const std::filesystem::path&, View<const std::int64_t>);

}  // namespace otnfm
