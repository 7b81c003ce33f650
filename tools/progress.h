// Progress of long work on stderr: a bar where stderr is a terminal, a line now and then where it is not.
#pragma once

#include <cstdint>
#include <string>

namespace otnfm {

class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();

  /// done of total, and what else to say behind the bar.
  void update(std::uint64_t done, std::uint64_t total, const std::string& details);
  /// The time so far and what else to say, where the end is not known.
  void running(const std::string& details);
  /// A line of its own, above the bar.
  void note(const std::string& line);

 private:
  void erase();
  void draw(std::string line);
  std::string what_;
  bool terminal_;
  bool drawn_ = false;
  double last_line_ = -1e30;
  double started_, first_update_ = 0;
  std::uint64_t first_done_ = ~std::uint64_t{0};
};

}  // namespace otnfm
