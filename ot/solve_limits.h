// When a solver must stop: a count of steps and a wall clock, both from the caller, or the caller's own word.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <thread>

namespace otnfm {

/// What ends a pass over all pairs in its middle. It never leaves a solver.
struct SolveStopped {};

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
    rest.iterations_ = 0;
    rest.max_iterations_ = iterations >= max_iterations_ ? 0 : max_iterations_ - iterations;
    return rest;
  }

  std::int64_t iterations() const { return max_iterations_; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  double seconds_left() const { return max_seconds_ - seconds(); }

  /// True once a cap is reached or the watch has said so. Reads the clock only where there is a time cap or a watch.
  bool reached(std::int64_t iterations) const {
    iterations_ = iterations;
    return iterations >= max_iterations_ || out_of_time();
  }

  /// The same without a look at the iterations.
  bool out_of_time() const { return late_by() >= 0; }

  /// True where half a second has passed since time was out, which is for bringing what there is to an end.
  bool overdue() const { return late_by() > kGrace; }

  /// The same of the time cap alone, for any thread.
  bool past_the_end() const {
    return max_seconds_ < std::numeric_limits<double>::infinity() && seconds() > max_seconds_ + kGrace;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kGrace = 0.5, kNotLate = -1;

  // Seconds since the time cap, or since the watch ended the solve.
  double late_by() const {
    if (watch_ == nullptr && max_seconds_ == std::numeric_limits<double>::infinity()) return kNotLate;
    const double now = seconds();
    if (watch_ != nullptr && !stopped_ && now - watched_ >= 0.1) {
      watched_ = now;
      stopped_ = !(*watch_)(before_ + iterations_, now);
      if (stopped_) stopped_at_ = now;
    }
    const double since = stopped_ && stopped_at_ < max_seconds_ ? stopped_at_ : max_seconds_;
    return stopped_ || now > max_seconds_ ? now - since : kNotLate;
  }

  Clock::time_point start_;
  std::int64_t max_iterations_, before_ = 0;
  double max_seconds_;
  const SolveWatch* watch_;
  mutable std::int64_t iterations_ = 0;
  mutable double watched_ = 0, stopped_at_ = 0;
  mutable bool stopped_ = false;
};

/// The limits inside of a parallel loop: any thread may ask, but the watch is the business of the one that began the
/// loop.
class SharedLimits {
 public:
  /// `limits` may be null, and must outlive this.
  explicit SharedLimits(const SolveLimits* limits) : limits_(limits) {}

  /// Throws SolveStopped where the limits are overdue. To be called every now and then, after so much `work` (pairs,
  /// say) of which 2^20 are no time at all; `done` is the caller's own count of it.
  void check(std::int64_t work, std::int64_t& done) {
    done += work;
    if (limits_ == nullptr || done < kUnchecked) return;
    done = 0;
    check();
  }
  void check() {
    if (limits_ == nullptr) return;
    if (!overdue_.load(std::memory_order_relaxed)) {
      if (!(std::this_thread::get_id() == owner_ ? limits_->overdue() : limits_->past_the_end())) return;
      overdue_.store(true, std::memory_order_relaxed);
    }
    throw SolveStopped();
  }

 private:
  static constexpr std::int64_t kUnchecked = std::int64_t{1} << 20;
  const SolveLimits* limits_;
  std::thread::id owner_ = std::this_thread::get_id();
  std::atomic<bool> overdue_ = false;
};

}  // namespace otnfm
