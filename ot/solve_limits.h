// When a solver must stop: a count of steps and a wall clock, both from the caller.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace otnfm {

class SolveLimits {
 public:
  SolveLimits(std::int64_t max_iterations, double max_seconds)
      : start_(Clock::now()), max_iterations_(max_iterations), max_seconds_(max_seconds) {}

  /// What is left after so many iterations; the clock goes on.
  SolveLimits remaining(std::int64_t iterations) const {
    SolveLimits rest = *this;
    rest.max_iterations_ = iterations >= max_iterations_ ? 0 : max_iterations_ - iterations;
    return rest;
  }

  std::int64_t iterations() const { return max_iterations_; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  /// True once either cap is reached. Reads the clock only where there is a time cap.
  bool reached(std::int64_t iterations) const {
    return iterations >= max_iterations_ ||
           (max_seconds_ < std::numeric_limits<double>::infinity() && seconds() > max_seconds_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_;
  std::int64_t max_iterations_;
  double max_seconds_;
};

}  // namespace otnfm
