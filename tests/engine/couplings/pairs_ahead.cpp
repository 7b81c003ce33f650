// Pairs made ahead: always those of the step asked for, whatever the order and speed of both sides; errors arrive.
#include "engine/couplings/pairs_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

/// Block lengths vary with the step; row i of a step's x0 is (step, i), x1 the negative.
PairsAhead::Make numbered(std::int64_t B, std::atomic<int>& began_anew, bool slow = false) {
  return [=, &began_anew](PairBlock& block, bool anew) {
    began_anew += anew;
    block.steps = 1 + block.first % 3;
    if (slow) std::this_thread::sleep_for(std::chrono::microseconds(300));
    for (std::uint64_t step = 0; step < block.steps; ++step)
      for (std::int64_t i = 0; i < B; ++i) {
        float* x0 = block.x0.row(static_cast<std::int64_t>(step) * B + i);
        float* x1 = block.x1.row(static_cast<std::int64_t>(step) * B + i);
        x0[0] = static_cast<float>(block.first + step);
        x0[1] = static_cast<float>(i);
        x1[0] = -x0[0];
        x1[1] = -x0[1];
      }
  };
}

TEST(PairsAhead, GivesThePairsOfTheStepAskedFor) {
  for (Device device : devices_at_hand())
    for (const auto& [slow, threads] : {std::pair{false, 2}, {true, 2}, {false, 1}}) {
      const host::ThreadLimit limit(threads);
      const std::int64_t B = 5;
      Stream stream(device);
      Tape tape(device);
      std::atomic<int> began_anew = 0;
      PairsAhead ahead(device, B, 2, 3, numbered(B, began_anew, slow));
      const Pairs pairs = ahead.record(tape);
      std::vector<std::uint64_t> steps;
      for (std::uint64_t step = 10; step < 60; ++step) steps.push_back(step);
      const int restarts_before = 1;
      for (std::uint64_t step : {59, 7, 8, 8, 9, 3, 3, 100}) steps.push_back(step);
      for (std::uint64_t step : steps) {
        ahead.feed(stream, step);
        std::vector<float> x0(2 * B), x1(2 * B);
        copy_bytes(stream, x0.data(), pairs.x0.view().data, x0.size() * sizeof(float));
        copy_bytes(stream, x1.data(), pairs.x1.view().data, x1.size() * sizeof(float));
        stream.synchronize();
        for (std::int64_t i = 0; i < B; ++i) {
          ASSERT_EQ(x0[2 * i], static_cast<float>(step));
          ASSERT_EQ(x0[2 * i + 1], static_cast<float>(i));
          ASSERT_EQ(x1[2 * i], -static_cast<float>(step));
          ASSERT_EQ(x1[2 * i + 1], -static_cast<float>(i));
        }
      }
      EXPECT_EQ(began_anew, restarts_before + 3) << "at 7, 3 and 100";
      EXPECT_GE(ahead.wait_seconds(), 0);
    }
}

TEST(PairsAhead, BeginsAnewWhereItIsToldToForget) {
  for (const int threads : {1, 2}) {
    const host::ThreadLimit limit(threads);
    Stream stream(Device::cpu);
    Tape tape(Device::cpu);
    std::atomic<int> began_anew = 0;
    PairsAhead ahead(Device::cpu, 2, 2, 3, numbered(2, began_anew));
    const Pairs pairs = ahead.record(tape);
    ahead.forget();
    for (std::uint64_t step = 0; step < 9; ++step) ahead.feed(stream, step);
    ahead.forget();
    ahead.forget();
    ahead.feed(stream, 9);
    EXPECT_EQ(pairs.x0.view()(1, 0), 9);
    EXPECT_EQ(began_anew, 2);
  }
}

TEST(PairsAhead, NoThreadIsBesideTheOnlyOne) {
  for (const int threads : {1, 2}) {
    const host::ThreadLimit limit(threads);
    Stream stream(Device::cpu);
    Tape tape(Device::cpu);
    std::atomic<int> began_anew = 0, elsewhere = 0;
    const PairsAhead::Make good = numbered(2, began_anew);
    const std::thread::id own = std::this_thread::get_id();
    PairsAhead ahead(Device::cpu, 2, 2, 3, [&](PairBlock& block, bool anew) {
      if (std::this_thread::get_id() != own) ++elsewhere;
      good(block, anew);
    });
    (void)ahead.record(tape);
    for (std::uint64_t step = 0; step < 9; ++step) ahead.feed(stream, step);
    EXPECT_EQ(elsewhere > 0, threads > 1);
  }
}

TEST(PairsAhead, AnErrorArrivesWhereThePairsWouldHave) {
  for (const int threads : {1, 2}) {
    const host::ThreadLimit limit(threads);
    Stream stream(Device::cpu);
    Tape tape(Device::cpu);
    std::atomic<int> began_anew = 0;
    const PairsAhead::Make good = numbered(2, began_anew);
    PairsAhead ahead(Device::cpu, 2, 2, 3, [&](PairBlock& block, bool anew) {
      if (block.first >= 6) throw RunError("the sixth step cannot be made");
      good(block, anew);
    });
    (void)ahead.record(tape);
    EXPECT_THROW(
        {
          for (std::uint64_t step = 0; step < 30; ++step) ahead.feed(stream, step);
        },
        RunError);
    EXPECT_THROW(ahead.feed(stream, 40), RunError);
  }
}

TEST(PairsAhead, EndsWhileItIsAtWork) {
  for (int round = 0; round < 20; ++round) {
    Stream stream(Device::cpu);
    Tape tape(Device::cpu);
    std::atomic<int> began_anew = 0;
    PairsAhead ahead(Device::cpu, 3, 2, 3, numbered(3, began_anew, round % 2 == 1));
    (void)ahead.record(tape);
    for (int step = 0; step < round % 5; ++step) ahead.feed(stream, static_cast<std::uint64_t>(step));
  }
}

}  // namespace
}  // namespace otnfm
