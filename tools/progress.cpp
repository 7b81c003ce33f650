#include "tools/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "kernels/clock.h"

namespace otnfm {
namespace {

constexpr double kSecondsBetweenLines = 5;  // where there is no terminal

std::string duration(double seconds) {
  const long s = static_cast<long>(seconds);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string what) : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) != 0), started_(now()) {}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stderr);
}

void Progress::erase() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void Progress::update(std::uint64_t done, std::uint64_t total, const std::string& details) {
  const double fraction = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total),
               elapsed = now() - started_;
  // What is left goes by the pace since the first update: before it lies work that comes only once.
  if (first_done_ > done) {
    first_done_ = done;
    first_update_ = now();
  }
  const auto remaining = [&] {
    return (now() - first_update_) * static_cast<double>(total - done) / static_cast<double>(done - first_done_);
  };
  const std::string left = done == first_done_ || done == total ? duration(elapsed) : duration(remaining()) + " left";
  if (!terminal_) {
    if (done != total && now() - last_line_ < kSecondsBetweenLines) return;
    last_line_ = now();
    fmt::print(stderr, "{} {}/{}  {}  {}\n", what_, done, total, left, details);
    return;
  }
  constexpr int kCells = 24;
  const int full = std::clamp(static_cast<int>(fraction * kCells), 0, kCells);
  draw(fmt::format("{} {:>3.0f}% [{}{}] {}  {}", what_, 100 * fraction, std::string(full, '='),
                   std::string(kCells - full, ' '), left, details));
}

void Progress::running(const std::string& details) {
  const double elapsed = now() - started_;
  if (terminal_) return draw(fmt::format("{} {}  {}", what_, duration(elapsed), details));
  if (elapsed - std::max(0.0, last_line_ - started_) < kSecondsBetweenLines) return;
  last_line_ = now();
  fmt::print(stderr, "{} {}  {}\n", what_, duration(elapsed), details);
}

void Progress::draw(std::string line) {
  if (line.size() >= terminal_width()) line.resize(terminal_width() - 1);  // a wrapped line could not be erased
  erase();
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::note(const std::string& line) {
  erase();
  fmt::print(stderr, "{}\n", line);
}

}  // namespace otnfm
