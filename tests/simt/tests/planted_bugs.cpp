// Wrong kernels, each beside its right form: the wrong one must be caught, the right one must not.
#include "support.h"

using namespace otnfm;

namespace {

using testing::ExitedWithCode;

// Memory: caught by AddressSanitizer or UndefinedBehaviorSanitizer, at the kernel's line.

__global__ void static_shared(int reach, float* y) {
  SHARED_ARRAY(float, tile, 64);
  float* const writable = tile;  // hides the bound from the compiler, as a call would
  writable[static_cast<int>(threadIdx.x) + reach] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void static_shared_2d(int reach, float* y) {
  SHARED_ARRAY_2D(float, tile, 8, 9);
  tile[threadIdx.x / 8][static_cast<int>(threadIdx.x % 8) + reach] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x / 8][threadIdx.x % 8];
}

__global__ void dynamic_shared(int reach, float* y) {
  SHARED_DYNAMIC(float, row);
  row[threadIdx.x] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = row[static_cast<int>(threadIdx.x) + reach];
}

__global__ void global_read(int reach, const float* x, float* y) {
  y[threadIdx.x] = x[static_cast<int>(threadIdx.x) + reach];
}

__global__ void vector_read(int offset, const float* x, float* y) {
  const float4 v = *reinterpret_cast<const float4*>(x + offset);
  y[threadIdx.x] = v.x + v.w;
}

class MemoryBugs : public testing::Test {
 protected:
  void SetUp() override {
    if (!kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  }
  DeviceArray<float> y{64};
};

TEST_F(MemoryBugs, StaticSharedOverrun) {
  launch(static_shared, 2, 64, 0, nullptr, 0, y.data());
  EXPECT_DEATH(launch(static_shared, 2, 64, 0, nullptr, 1, y.data()),
               "heap-buffer-overflow.*static_shared.*planted_bugs");
}

TEST_F(MemoryBugs, StaticSharedOverrunOfARow) {
  launch(static_shared_2d, 2, 64, 0, nullptr, 0, y.data());
  EXPECT_DEATH(launch(static_shared_2d, 2, 64, 0, nullptr, 2, y.data()),
               "planted_bugs.*out of bounds|heap-buffer-overflow");
}

TEST_F(MemoryBugs, DynamicSharedOverrun) {
  launch(dynamic_shared, 2, 64, 64 * sizeof(float), nullptr, 0, y.data());
  EXPECT_DEATH(launch(dynamic_shared, 2, 64, 64 * sizeof(float), nullptr, 1, y.data()),
               "heap-buffer-overflow.*dynamic_shared.*planted_bugs");
}

TEST_F(MemoryBugs, GlobalOverRead) {
  const DeviceArray<float> x(64);
  launch(global_read, 1, 64, 0, nullptr, 0, x.data(), y.data());
  EXPECT_DEATH(launch(global_read, 1, 64, 0, nullptr, 1, x.data(), y.data()), "heap-buffer-overflow.*global_read");
  EXPECT_DEATH(launch(global_read, 1, 64, 0, nullptr, -1, x.data(), y.data()), "heap-buffer-overflow.*global_read");
}

TEST_F(MemoryBugs, UseAfterFree) {
  EXPECT_DEATH(
      {
        float* x = nullptr;
        cudaMalloc(&x, 64 * sizeof(float));
        cudaFree(x);
        launch(global_read, 1, 64, 0, nullptr, 0, x, y.data());
      },
      "heap-use-after-free.*global_read");
}

TEST_F(MemoryBugs, MisalignedVectorLoad) {
  const DeviceArray<float> x(std::vector<float>(8, 1.0f));
  launch(vector_read, 1, 1, 0, nullptr, 4, x.data(), y.data());
  EXPECT_DEATH(launch(vector_read, 1, 1, 0, nullptr, 1, x.data(), y.data()), "misaligned address");
}

// Barriers and warp collectives: caught by the shim, in every build.

__global__ void barrier_in_branch(unsigned where) {
  if (threadIdx.x < where) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void barrier_after_return(unsigned n) {
  if (threadIdx.x >= n) return;
  __syncthreads();
}

__global__ void shuffle_after_return(unsigned n, float* y) {
  if (threadIdx.x >= n) return;
  const float sum = warp_sum(1.0f);
  if (threadIdx.x == 0) *y = sum;
}

__global__ void masks(unsigned lower, unsigned upper) {
  __syncwarp(threadIdx.x % 32 < 16 ? lower : upper);
}

__global__ void vote_against_shuffle(bool diverge, unsigned* y) {
  if (diverge && threadIdx.x == 3) {
    y[threadIdx.x] = __ballot_sync(kFullMask, 1);
  } else {
    y[threadIdx.x] = __shfl_sync(kFullMask, threadIdx.x, 0);
  }
}

__global__ void barrier_against_warp(bool diverge) {
  if (diverge && threadIdx.x == 33) {
    __syncthreads();
    __syncwarp();
  } else {
    __syncwarp();
    __syncthreads();
  }
}

__global__ void shuffle_beyond_mask(int source) {
  if (threadIdx.x < 16) __shfl_sync(0xffffu, 1, source);
}

__global__ void shuffle_of_width(int width) {
  __shfl_sync(kFullMask, 1, 0, width);
}

__global__ void full_warp() {
  __syncwarp();
}

TEST(Rules, DivergentBarrier) {
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    simt::set_seed(seed);
    EXPECT_EQ(error_of([] { launch(barrier_in_branch, 2, 64, 0, nullptr, 64u); }), "");
    const std::string error = error_of([] { launch(barrier_in_branch, dim3(1, 2), 64, 0, nullptr, 5u); });
    EXPECT_NE(error.find("divergent barrier"), std::string::npos) << error;
    EXPECT_NE(error.find(", block (0, "), std::string::npos) << error;
    EXPECT_NE(error.find("thread ("), std::string::npos) << error;
    EXPECT_NE(error.find("planted_bugs.cpp:"), std::string::npos) << error;
    if (kAddressSanitizer || kThreadSanitizer) {
      EXPECT_NE(error.find("barrier_in_branch"), std::string::npos) << error;
    }
  }
}

TEST(Rules, BarrierThatAThreadNeverReaches) {
  EXPECT_EQ(error_of([] { launch(barrier_after_return, 2, 64, 0, nullptr, 64u); }), "");
  const std::string error = error_of([] { launch(barrier_after_return, 1, 64, 0, nullptr, 63u); });
  EXPECT_NE(error.find("divergent barrier"), std::string::npos) << error;
  EXPECT_NE(error.find("for thread (63, 0, 0), which has left the kernel"), std::string::npos) << error;
}

TEST(Rules, LaneThatLeftBeforeAShuffle) {
  const DeviceArray<float> y(1);
  EXPECT_EQ(error_of([&] { launch(shuffle_after_return, 1, 32, 0, nullptr, 32u, y.data()); }), "");
  EXPECT_EQ(y.values()[0], 32.0f);
  const std::string error = error_of([&] { launch(shuffle_after_return, 1, 64, 0, nullptr, 63u, y.data()); });
  EXPECT_NE(error.find("a shuffle"), std::string::npos) << error;
  EXPECT_NE(error.find("for lane 31, which has left the kernel"), std::string::npos) << error;
}

TEST(Rules, LaneThatTheBlockDoesNotHave) {
  EXPECT_EQ(error_of([] { launch(full_warp, 1, 64, 0, nullptr); }), "");
  const std::string error = error_of([] { launch(full_warp, 1, 48, 0, nullptr); });
  EXPECT_NE(error.find("lanes beyond the block's 48 threads"), std::string::npos) << error;
}

TEST(Rules, MasksThatDisagree) {
  EXPECT_EQ(error_of([] { launch(masks, 1, 64, 0, nullptr, kFullMask, kFullMask); }), "");
  EXPECT_EQ(error_of([] { launch(masks, 1, 64, 0, nullptr, 0xffffu, 0xffff0000u); }), "");
  const std::string error = error_of([] { launch(masks, 1, 32, 0, nullptr, kFullMask, 0xffff0000u); });
  EXPECT_NE(error.find("has left the kernel"), std::string::npos) << error;  // the upper half went on without the lower
  const std::string both = error_of([] { launch(masks, 1, 32, 0, nullptr, 0x1ffffu, 0xffff8000u); });
  EXPECT_NE(both.find("masks disagree, 0x0001ffff and 0xffff8000"), std::string::npos) << both;
  const std::string absent = error_of([] { launch(masks, 1, 32, 0, nullptr, 0xffff0000u, 0xffff0000u); });
  EXPECT_NE(absent.find("does not name the caller"), std::string::npos) << absent;
}

TEST(Rules, CollectivesThatDisagree) {
  const DeviceArray<unsigned> y(32);
  EXPECT_EQ(error_of([&] { launch(vote_against_shuffle, 1, 32, 0, nullptr, false, y.data()); }), "");
  const std::string error = error_of([&] { launch(vote_against_shuffle, 1, 32, 0, nullptr, true, y.data()); });
  EXPECT_NE(error.find("with the same mask"), std::string::npos) << error;
}

TEST(Rules, Deadlock) {
  EXPECT_EQ(error_of([] { launch(barrier_against_warp, 1, 64, 0, nullptr, false); }), "");
  const std::string error = error_of([] { launch(barrier_against_warp, 1, 64, 0, nullptr, true); });
  EXPECT_NE(error.find("for lane 1, which waits in a barrier"), std::string::npos) << error;
}

TEST(Rules, ShuffleFromALaneOutsideItsMask) {
  EXPECT_EQ(error_of([] { launch(shuffle_beyond_mask, 1, 32, 0, nullptr, 15); }), "");
  const std::string error = error_of([] { launch(shuffle_beyond_mask, 1, 32, 0, nullptr, 16); });
  EXPECT_NE(error.find("reads lane 16, which its mask does not name"), std::string::npos) << error;
}

TEST(Rules, ShuffleWidth) {
  EXPECT_EQ(error_of([] { launch(shuffle_of_width, 1, 32, 0, nullptr, 8); }), "");
  const std::string error = error_of([] { launch(shuffle_of_width, 1, 32, 0, nullptr, 12); });
  EXPECT_NE(error.find("has width 12"), std::string::npos) << error;
}

__global__ void wrong_block_size(float* y) {
  y[threadIdx.x] = block_sum<64>(1.0f);
}

TEST(Rules, BlockReductionOfAnotherSize) {
  const DeviceArray<float> y(128);
  EXPECT_EQ(error_of([&] { launch(wrong_block_size, 1, 64, 0, nullptr, y.data()); }), "");
  EXPECT_NE(error_of([&] { launch(wrong_block_size, 1, 128, 0, nullptr, y.data()); }), "");
}

TEST(Rules, DeviceCodeOutsideOfAKernel) {
  EXPECT_NE(error_of([] { __syncthreads(); }), "");
  EXPECT_NE(error_of([] { __shfl_sync(kFullMask, 1, 0); }), "");
}

// Races: reported by ThreadSanitizer, whose runtime makes the process exit with 66.

__global__ void reverse_through_shared(bool barrier, float* y) {
  SHARED_ARRAY(float, tile, 64);
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (barrier) __syncthreads();
  y[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void neighbour_in_warp(bool order, float* y) {
  SHARED_ARRAY(float, tile, 64);
  tile[threadIdx.x] = 1.0f;
  __shfl_sync(kFullMask, 0, 0);  // orders no memory, though it makes the lanes meet
  if (order) __syncwarp();
  y[threadIdx.x] = tile[threadIdx.x ^ 1];
}

__global__ void count_across_blocks(bool atomic, int* y) {
  if (threadIdx.x != 0) return;
  if (atomic)
    atomicAdd(y, 1);
  else
    *y = *y + 1;
}

class Races : public testing::Test {
 protected:
  void SetUp() override {
    if (!kThreadSanitizer) GTEST_SKIP() << "needs ThreadSanitizer";
    // ThreadSanitizer ignores what a forked process does: the tests must start anew.
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
  template <class Run>
  static void expect_race(const Run& run) {
    EXPECT_EXIT(
        {
          run();
          std::exit(0);
        },
        ExitedWithCode(66), "data race");
  }
};

TEST_F(Races, MissingBarrier) {
  const DeviceArray<float> y(256);
  launch(reverse_through_shared, 4, 64, 0, nullptr, true, y.data());
  expect_race([&] { launch(reverse_through_shared, 4, 64, 0, nullptr, false, y.data()); });
}

TEST_F(Races, MissingWarpBarrier) {
  const DeviceArray<float> y(64);
  launch(neighbour_in_warp, 1, 64, 0, nullptr, true, y.data());
  expect_race([&] { launch(neighbour_in_warp, 1, 64, 0, nullptr, false, y.data()); });
}

TEST_F(Races, BetweenBlocks) {
  const DeviceArray<int> y(std::vector<int>{0});
  launch(count_across_blocks, 4, 64, 0, nullptr, true, y.data());
  EXPECT_EQ(y.values()[0], 4);
  expect_race([&] { launch(count_across_blocks, 4, 64, 0, nullptr, false, y.data()); });
}

TEST(Seeds, ShowAMissingBarrierWithoutASanitizer) {
  if (kThreadSanitizer) GTEST_SKIP() << "the race would be reported";
  const DeviceArray<float> y(64);
  const auto run = [&](std::uint64_t seed, bool barrier) {
    simt::set_seed(seed);
    launch(reverse_through_shared, 1, 64, 0, nullptr, barrier, y.data());
    std::string bits;
    for (float v : y.values()) bits += std::to_string(v) + " ";
    return bits;
  };
  EXPECT_EQ(run(1, true), run(2, true));
  EXPECT_NE(run(1, false), run(2, false));
  EXPECT_EQ(run(3, false), run(3, false));  // a seed is an order
}

}  // namespace
