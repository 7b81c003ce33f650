#include "engine/couplings/pairs_ahead.h"

#include "kernels/clock.h"
#include "kernels/host/parallel.h"

namespace otnfm {
PairsAhead::PairsAhead(Device device, std::int64_t batch, std::int64_t dimension, std::int64_t most_steps, Make make,
                       std::function<bool()> wanted)
    : device_(device),
      B_(batch),
      d_(dimension),
      make_(std::move(make)),
      wanted_(std::move(wanted)),
      ahead_(device != Device::cpu || host::thread_count() > 1),
      slots_{Slot(device), Slot(device)} {
  const std::int64_t rows = most_steps * B_;
  for (Slot& slot : slots_) {
    slot.memory = StagingMemory(device, static_cast<std::size_t>(2 * rows * d_) * sizeof(float), "pairs made ahead");
    float* const values = reinterpret_cast<float*>(slot.memory.data());
    slot.block.x0 = View<float>(values, {rows, d_});
    slot.block.x1 = View<float>(values + rows * d_, {rows, d_});
  }
}

PairsAhead::~PairsAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  // A copy out of a block may be on its way.
  for (Slot& slot : slots_) try {
      slot.copied.wait();
    } catch (...) {  // the device has failed, which who trains on it learns otherwise
    }
}

Pairs PairsAhead::record(Tape& tape) {
  const std::size_t bytes = static_cast<std::size_t>(B_ * d_) * sizeof(float);
  buffers_ = Memory(tape.device(), 2 * bytes, "a batch of pairs");
  x0_ = View<float>(reinterpret_cast<float*>(buffers_.data()), {B_, d_});
  x1_ = View<float>(reinterpret_cast<float*>(buffers_.data() + bytes), {B_, d_});
  return {tape.external(x0_), tape.external(x1_)};
}

const PairBlock& PairsAhead::feed(Stream& stream, std::uint64_t step) {
  if (!fed_ || step < fed_->block.first || step >= fed_->block.first + fed_->block.steps) fed_ = &wait_for(step);
  const std::int64_t at = static_cast<std::int64_t>(step - fed_->block.first) * B_;
  const std::size_t bytes = static_cast<std::size_t>(B_ * d_) * sizeof(float);
  copy_bytes(stream, x0_.data, fed_->block.x0.row(at), bytes);
  copy_bytes(stream, x1_.data, fed_->block.x1.row(at), bytes);
  fed_->copied.set(stream);
  return fed_->block;
}

PairsAhead::Slot& PairsAhead::wait_for(std::uint64_t step) {
  const double start = now();
  std::unique_lock lock(mutex_);
  if (fed_) {
    fed_->copied.wait();
    fed_->ready = false;
    next_fed_ = 1 - next_fed_;
    fed_ = nullptr;
    changed_.notify_all();
  }
  Slot* slot = &slots_[next_fed_];
  const auto made = [&] { return slot->ready || error_; };
  if (running_ && ahead_) changed_.wait(lock, made);
  const bool unexpected = ahead_ ? slot->ready && slot->block.first != step : next_step_ != step;
  if (running_ && unexpected) {
    lock.unlock();
    forget();
    lock.lock();
    slot = &slots_[next_fed_];
  }
  if (!running_) {
    next_step_ = step;
    running_ = true;
    if (ahead_) {
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
      changed_.notify_all();
      changed_.wait(lock, made);
    }
  }
  if (!ahead_ && !error_) fill(lock);
  wait_seconds_ += now() - start;
  if (!slot->ready) std::rethrow_exception(error_);
  seconds_ += slot->block.seconds;
  return *slot;
}

void PairsAhead::forget() {
  std::unique_lock lock(mutex_);
  running_ = false;
  changed_.wait(lock, [&] { return !making_; });
  for (Slot& slot : slots_) {
    slot.copied.wait();
    slot.ready = false;
  }
  fed_ = nullptr;
  next_fed_ = next_made_ = 0;
  anew_ = true;
  error_ = nullptr;
}

void PairsAhead::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (running_ && !error_ && !slots_[next_made_].ready); });
    if (stop_) return;
    fill(lock);
  }
}

void PairsAhead::fill(std::unique_lock<std::mutex>& lock) {
  Slot& slot = slots_[next_made_];
  slot.block.first = next_step_;
  const bool anew = std::exchange(anew_, false);
  making_ = true;
  lock.unlock();
  std::exception_ptr error;
  try {
    const double start = now();
    make_(slot.block, anew);
    slot.block.seconds = now() - start;
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  making_ = false;
  if (error) {
    error_ = error;
  } else if (running_) {
    slot.ready = true;
    next_step_ += slot.block.steps;
    next_made_ = 1 - next_made_;
  }
  changed_.notify_all();
}

}  // namespace otnfm
