// When a solver must stop: a count of steps and a wall clock, both from the caller, or the caller's own word.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>

namespace otnfm {

/// Called up to ten times a second while a solve goes on, with the steps so far (augmenting paths, bids, sweeps) and
/// the wall time in seconds: to show progress, and to end the solve, as a cap does, by returning false.
using SolveWatch = std::function<bool(std::int64_t iterations, double seconds)>;

class SolveLimits {
 public:
  /// `watch` may be null, and must outlive the limits.
  SolveLimits(std::int64_t max_iterations, double max_seconds, const SolveWatch* watch = nullptr)
      : start_(Clock::now()),
        max_iterations_(max_iterations),
        max_seconds_(max_seconds),
        watch_(watch != nullptr && *watch ? watch : nullptr) {}

  /// What is left after so many iterations; the clock goes on.
  SolveLimits remaining(std::int64_t iterations) const {
    SolveLimits rest = *this;
    rest.before_ += iterations;
    rest.max_iterations_ = iterations >= max_iterations_ ? 0 : max_iterations_ - iterations;
    return rest;
  }

  std::int64_t iterations() const { return max_iterations_; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  /// True once a cap is reached or the watch has said so. Reads the clock only where there is a time cap or a watch.
  bool reached(std::int64_t iterations) const {
    if (iterations >= max_iterations_ || stopped_) return true;
    if (watch_ == nullptr && max_seconds_ == std::numeric_limits<double>::infinity()) return false;
    const double now = seconds();
    if (watch_ != nullptr && now - watched_ >= 0.1) {
      watched_ = now;
      stopped_ = !(*watch_)(before_ + iterations, now);
    }
    return stopped_ || now > max_seconds_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_;
  std::int64_t max_iterations_, before_ = 0;
  double max_seconds_;
  const SolveWatch* watch_;
  mutable double watched_ = 0;
  mutable bool stopped_ = false;
};

}  // namespace otnfm
