// When a solver must stop: a count of steps, a wall clock, and the caller's own word. One SolveLimits is made where a
// solve begins and handed down to everything that the solve does, the proof included; its copies, with fewer steps or
// less time, look at the same clock and the same word. Three ways to heed it:
//   reached(), out_of_time()   in a loop that leaves behind what it has: it returns
//   stop_if_reached()          in preparations whose half is of no use: throws SolveStopped
//   overdue(), SharedLimits    in a pass that had better be brought to its end: half a second later
// Work between two looks should stay below some 50 ms.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>

#include "ot/assignment.h"

namespace otnfm {

/// What a watch is told.
struct SolveProgress {
  std::int64_t iterations = 0;      ///< augmenting paths, bids, or sweeps so far
  double seconds = 0;               ///< wall time
  std::int64_t unproven_rows = -1;  ///< left for the certificate; -1 while the solver is at work
};

/// Called up to ten times a second while a solve goes on, by one thread at a time: to show progress, and to end the
/// solve by returning false.
using SolveWatch = std::function<bool(const SolveProgress&)>;

/// What ends preparations or a pass over all pairs in its middle. It never leaves a solver.
struct SolveStopped {};

class SolveLimits {
 public:
  static constexpr std::int64_t kNoIterations = std::numeric_limits<std::int64_t>::max();
  static constexpr double kNoSeconds = std::numeric_limits<double>::infinity();

  /// Neither cap nor watch.
  SolveLimits() : SolveLimits(kNoIterations, kNoSeconds) {}

  /// `watch` may be null, and must outlive the limits and their copies.
  SolveLimits(std::int64_t max_iterations, double max_seconds, const SolveWatch* watch = nullptr)
      : max_iterations_(max_iterations), max_seconds_(max_seconds) {
    own_.start = Clock::now();
    own_.watch = watch != nullptr && *watch ? watch : nullptr;
  }

  /// A copy refers to the original, which must outlive it.
  SolveLimits(const SolveLimits& other)
      : shared_(other.shared_),
        max_iterations_(other.max_iterations_),
        before_(other.before_),
        max_seconds_(other.max_seconds_) {}
  SolveLimits& operator=(const SolveLimits&) = delete;

  /// What is left after so many iterations; the clock goes on.
  SolveLimits remaining(std::int64_t iterations) const {
    SolveLimits rest = *this;
    rest.before_ += iterations;
    if (max_iterations_ != kNoIterations)
      rest.max_iterations_ = iterations >= max_iterations_ ? 0 : max_iterations_ - iterations;
    return rest;
  }

  /// The same but for the time's end, at `max_seconds` since the start.
  SolveLimits until(double max_seconds) const {
    SolveLimits rest = *this;
    rest.max_seconds_ = max_seconds;
    return rest;
  }

  /// The same clock and watch without a cap on the iterations: for a part that counts others.
  SolveLimits without_iterations() const {
    SolveLimits rest = *this;
    rest.max_iterations_ = kNoIterations;
    return rest;
  }

  std::int64_t iterations() const { return max_iterations_; }
  double max_seconds() const { return max_seconds_; }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - shared_->start).count(); }
  double seconds_left() const { return max_seconds_ - seconds(); }

  /// True once a cap is reached or the watch has said so; any thread may ask. Reads the clock only where there is a
  /// time cap or a watch, which takes some 30 ns.
  bool reached(std::int64_t iterations) const {
    shared_->iterations.store(before_ + iterations, std::memory_order_relaxed);
    return iterations >= max_iterations_ || out_of_time();
  }

  /// The same without a look at the iterations; while rows are proven, with how many are left.
  bool out_of_time(std::int64_t unproven_rows = -1) const { return late_by(unproven_rows) >= 0; }

  /// Throws SolveStopped where out_of_time().
  void stop_if_reached() const {
    if (out_of_time()) throw SolveStopped();
  }

  /// True where half a second has passed since time was out, which is for bringing what there is to an end.
  bool overdue() const { return late_by() > kGrace; }

  /// Which limit has been reached, where one has.
  SolveStatus status() const {
    if (shared_->interrupted.load()) return SolveStatus::interrupted;
    return seconds() > max_seconds_ ? SolveStatus::time_limit : SolveStatus::iteration_limit;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kGrace = 0.5, kNotLate = -1, kBetweenCalls = 0.1;
  struct Shared {
    Clock::time_point start;
    const SolveWatch* watch = nullptr;
    std::mutex watching;  // held while the watch is called
    std::atomic<std::int64_t> iterations{0};
    std::atomic<double> watched{0}, interrupted_at{0};
    std::atomic<bool> interrupted{false};  // by the watch
  };

  // Seconds since the time cap, or since the watch ended the solve.
  double late_by(std::int64_t unproven_rows = -1) const {
    Shared& shared = *shared_;
    if (shared.watch == nullptr && max_seconds_ == kNoSeconds) return kNotLate;
    const double now = seconds();
    if (shared.watch != nullptr && now - shared.watched.load(std::memory_order_relaxed) >= kBetweenCalls &&
        !shared.interrupted.load(std::memory_order_relaxed)) {
      const std::unique_lock one_at_a_time(shared.watching, std::try_to_lock);
      if (one_at_a_time && now - shared.watched.load(std::memory_order_relaxed) >= kBetweenCalls) {
        shared.watched.store(now, std::memory_order_relaxed);
        if (!(*shared.watch)({shared.iterations.load(std::memory_order_relaxed), now, unproven_rows})) {
          shared.interrupted_at.store(now);
          shared.interrupted.store(true);
        }
      }
    }
    double end = max_seconds_;
    if (shared.interrupted.load()) {
      if (const double at = shared.interrupted_at.load(); at < end) end = at;
    } else if (now <= end) {
      return kNotLate;
    }
    return now > end ? now - end : 0;
  }

  Shared own_;
  Shared* shared_ = &own_;
  std::int64_t max_iterations_, before_ = 0;
  double max_seconds_;
};

/// Limits, or none, inside of a loop over pairs.
class SharedLimits {
 public:
  /// `limits` may be null, and must outlive this.
  explicit SharedLimits(const SolveLimits* limits) : limits_(limits) {}

  /// Throws SolveStopped where the limits are overdue. To be called every now and then, after so much `work` (pairs,
  /// say) of which 2^20 are no time at all; `done` is the caller's own count of it.
  void check(std::int64_t work, std::int64_t& done) const {
    done += work;
    if (limits_ == nullptr || done < kUnchecked) return;
    done = 0;
    check();
  }
  void check() const {
    if (limits_ != nullptr && limits_->overdue()) throw SolveStopped();
  }

 private:
  static constexpr std::int64_t kUnchecked = std::int64_t{1} << 20;
  const SolveLimits* limits_;
};

}  // namespace otnfm
