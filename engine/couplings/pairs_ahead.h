// Pairs that the host makes, ahead of the steps that train on them: a thread of its own fills blocks of some steps
// while earlier blocks are fed, and a step waits only where the thread is slower. Two blocks suffice: one is fed, one
// is made. Where all of it runs on one thread of the CPU, the step that needs a block makes it. What a block holds must
// be a function of its first step and of the blocks before it, so that when it was made changes nothing, nor that the
// last blocks made are never used.
//
// On CUDA a block lies in page-locked memory, from which a step's pairs are copied while the host goes on; a fence
// tells when the last copy out of a block is done and the block may be filled again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/couplings/coupling.h"
#include "kernels/memory.h"

namespace otnfm {

/// The pairs of steps first .. first + steps - 1, those of one step behind the other.
struct PairBlock {
  std::uint64_t first = 0, steps = 0;
  View<float> x0, x1;                      // [most steps * B, d]
  std::vector<std::int64_t> place, noise;  // [most steps * B] what an online coupling writes back at each step
  double mean_cost = std::numeric_limits<double>::quiet_NaN();
  double conditional_variance = std::numeric_limits<double>::quiet_NaN();
  double seconds = 0;           ///< that making it took
  Device device = Device::cpu;  ///< where it was paired
};

class PairsAhead {
 public:
  /// Fills a block from block.first on: sets `steps` (1 .. most_steps), the pairs and the rest. `anew` is set where the
  /// block does not follow the one made before it. Runs on the thread, or in feed() where there is none.
  using Make = std::function<void(PairBlock& block, bool anew)>;

  PairsAhead(Device device, std::int64_t batch, std::int64_t dimension, std::int64_t most_steps, Make make,
             std::function<bool()> wanted = {});
  ~PairsAhead();
  PairsAhead(const PairsAhead&) = delete;
  PairsAhead& operator=(const PairsAhead&) = delete;

  /// The device's buffers that feed() fills, as tensors of the tape.
  Pairs record(Tape& tape);

  /// Brings the pairs of a step to the device; returns the block that they are of, valid until the next call. Throws
  /// what making the block threw.
  const PairBlock& feed(Stream& stream, std::uint64_t step);

  /// Forgets what was made: the next feed begins anew. `make` does not run when this returns.
  void forget();

  /// To be asked by `make` now and then; where it is false, it throws PairingStopped: the run is to end, or this is.
  bool wanted() const { return !stop_.load(std::memory_order_relaxed) && (!wanted_ || wanted_()); }

  double seconds() const { return seconds_; }            ///< that the blocks fed so far took to make
  double wait_seconds() const { return wait_seconds_; }  ///< that feed() waited

 private:
  struct Slot {
    PairBlock block;
    StagingMemory memory;
    Fence copied;
    bool ready = false;
    explicit Slot(Device device) : copied(device) {}
  };

  void run();
  void fill(std::unique_lock<std::mutex>& lock);
  Slot& wait_for(std::uint64_t step);

  Device device_;
  std::int64_t B_, d_;
  Make make_;
  std::function<bool()> wanted_;
  const bool ahead_;  // else feed() makes the blocks
  Slot slots_[2];
  Slot* fed_ = nullptr;
  int next_fed_ = 0;
  Memory buffers_;
  View<float> x0_, x1_;  // on the device
  double seconds_ = 0, wait_seconds_ = 0;

  // Shared with the thread, under the mutex.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_step_ = 0;
  int next_made_ = 0;
  bool running_ = false, making_ = false, anew_ = true;
  std::atomic<bool> stop_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace otnfm
