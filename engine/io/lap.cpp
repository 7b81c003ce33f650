#include "engine/io/lap.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "engine/io/input_file.h"
#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

class NumberReader {
 public:
  NumberReader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  std::size_t remaining() const { return text_.size() - at_; }
  std::int64_t line() const { return line_; }
  bool at_end() {
    while (at_ < text_.size() && is_blank(text_[at_])) line_ += text_[at_++] == '\n';
    return at_ == text_.size();
  }
  /// `what` says which number this is, and is called only where there is none.
  template <class What>
  std::int64_t next(What what) {
    if (at_end()) fail_input(name_, fmt::format("line {}: ends where {} should stand", line_, what()));
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    const char* word_end = begin;
    while (word_end < end && !is_blank(*word_end)) ++word_end;
    std::int64_t value = 0;
    const auto [stop, error] =
        std::from_chars(begin + (*begin == '+' && word_end - begin > 1 && begin[1] != '-'), word_end, value);
    const std::string_view word(begin, static_cast<std::size_t>(word_end - begin));
    if (error == std::errc::result_out_of_range)
      fail_input(name_, fmt::format("line {}: {} is {}, beyond 64 bits", line_, what(), quote(word)));
    if (error != std::errc{} || stop != word_end)
      fail_input(name_, fmt::format("line {}: {} is {}, wanted a whole number", line_, what(), quote(word)));
    at_ += word.size();
    return value;
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace

LapProblem read_lap(const std::filesystem::path& path) {
  constexpr std::int64_t kMaxBytes = std::int64_t{4} << 30, kMaxN = 1 << 20;
  const std::string name = path.string();
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  NumberReader reader({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name);
  LapProblem problem;
  const std::int64_t n = problem.n = reader.next([] { return "the size n"; });
  // Each number takes a blank and a digit at the least.
  if (n < 0 || n > kMaxN || static_cast<std::uint64_t>(2 * n * n) > reader.remaining())
    fail_input(name, fmt::format("line {}: the size n is {}, and the {} bytes that follow cannot hold {} x {} numbers",
                                 reader.line(), n, reader.remaining(), n, n));
  problem.cost.resize(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n * n; ++i)
    problem.cost[static_cast<std::size_t>(i)] = reader.next([&] {
      return fmt::format("the cost of row {}, column {}, counted from 0 (number {} of {})", i / n, i % n, i + 1, n * n);
    });
  if (!reader.at_end())
    fail_input(name, fmt::format("line {}: something follows the {} x {} costs that n declares", reader.line(), n, n));
  return problem;
}

}  // namespace otnfm
