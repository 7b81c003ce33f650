// Right kernels give the right answer, in whatever order the threads run.
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "kernels/device/vector.h"
#include "support.h"

using namespace otnfm;

namespace {

__global__ void visit(int* counts) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  counts[block * (blockDim.x * blockDim.y * blockDim.z) + thread] += 1;
}

TEST(Launch, EveryThreadOfEveryBlockRunsOnce) {
  for (const auto& [grid, block] : {std::pair{dim3(1), dim3(1)},
                                    {dim3(5), dim3(7)},
                                    {dim3(2, 3, 2), dim3(5, 2, 3)},
                                    {dim3(2), dim3(kThreadSanitizer ? 32 : 512, 2)}}) {
    const std::size_t n = std::size_t{grid.x} * grid.y * grid.z * block.x * block.y * block.z;
    const DeviceArray<int> counts(std::vector<int>(n, 0));
    launch(visit, grid, block, 0, nullptr, counts.data());
    EXPECT_EQ(counts.values(), std::vector<int>(n, 1));
  }
}

TEST(Launch, AGridWithoutBlocksDoesNothing) {
  launch(visit, grid_for(0, 256), 256, 0, nullptr, nullptr);
  launch(visit, dim3(3, 0), 256, 0, nullptr, nullptr);
}

TEST(Launch, GridForIsCappedAndCoversAll) {
  EXPECT_EQ(grid_for(1, 256), 1);
  EXPECT_EQ(grid_for(256, 256), 1);
  EXPECT_EQ(grid_for(257, 256), 2);
  EXPECT_EQ(grid_for(std::numeric_limits<std::int64_t>::max(), 256), kMaxStridedBlocks);
  EXPECT_EQ(grid_for(1000, 10, 7), 7);
}

template <int kThreads>
__global__ void reductions(const float* x, float* sums, double* double_sums, float* maxima, int* int_maxima, int n) {
  float sum = 0.0f, largest = kLowest<float>;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    sum += x[i];
    largest = max(largest, x[i]);
  }
  sums[threadIdx.x] = block_sum<kThreads>(sum);
  double_sums[threadIdx.x] = block_sum<kThreads>(static_cast<double>(sum));
  maxima[threadIdx.x] = block_reduce<kThreads>(largest, kLowest<float>, Max{});
  int_maxima[threadIdx.x] = block_reduce<kThreads>(-static_cast<int>(threadIdx.x), kLowest<int>, Max{});
}

template <int kThreads>
void check_reductions(int n) {
  std::mt19937 generator(static_cast<unsigned>(n));
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) v = normal(generator);
  const double sum = std::accumulate(x.begin(), x.end(), 0.0);
  const float largest = n == 0 ? kLowest<float> : *std::max_element(x.begin(), x.end());
  const DeviceArray<float> device_x(x), sums(kThreads), maxima(kThreads);
  const DeviceArray<double> double_sums(kThreads);
  const DeviceArray<int> int_maxima(kThreads);
  float first = 0.0f;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    simt::set_seed(seed);
    launch(reductions<kThreads>, 1, kThreads, 0, nullptr, device_x.data(), sums.data(), double_sums.data(),
           maxima.data(), int_maxima.data(), n);
    if (seed == 0) first = sums.values()[0];
    EXPECT_EQ(sums.values(), std::vector<float>(kThreads, first));  // every thread, every order, to the last bit
    EXPECT_TRUE(std::abs(first - sum) <= 1e-5 * (1.0 + n));
    EXPECT_TRUE(std::abs(double_sums.values()[kThreads - 1] - sum) <= 1e-5 * (1.0 + n));
    EXPECT_EQ(maxima.values(), std::vector<float>(kThreads, largest));
    EXPECT_EQ(int_maxima.values(), std::vector<int>(kThreads, 0));
  }
}

TEST(Reductions, OfABlock) {
  for (int n : {0, 1, 31, 33, 1000}) {
    check_reductions<32>(n);
    check_reductions<64>(n);
    if (!kThreadSanitizer) check_reductions<1024>(n);
  }
}

struct Smallest {
  float value;
  int index;
  double weight;
};

__global__ void smallest_of(const float* x, Smallest* y) {
  const Smallest mine{x[threadIdx.x], static_cast<int>(threadIdx.x), 0.5 * threadIdx.x};
  const Smallest none{std::numeric_limits<float>::infinity(), -1, 0.0};
  y[threadIdx.x] = block_reduce<64>(mine, none, [](const Smallest& a, const Smallest& b) {
    return a.value < b.value || (a.value == b.value && a.index < b.index) ? a : b;
  });
}

TEST(Reductions, OfAStruct) {
  std::vector<float> x(64, 3.0f);
  x[37] = x[50] = -1.0f;
  const DeviceArray<float> device_x(x);
  const DeviceArray<Smallest> y(64);
  launch(smallest_of, 1, 64, 0, nullptr, device_x.data(), y.data());
  for (const Smallest& s : y.values()) {
    EXPECT_EQ(s.value, -1.0f);
    EXPECT_EQ(s.index, 37);
    EXPECT_EQ(s.weight, 18.5);
  }
}

template <class T>
__global__ void shuffles(const T* x, T* index, T* up, T* down, T* exclusive_or, int argument, int width) {
  const unsigned i = threadIdx.x;
  index[i] = __shfl_sync(kFullMask, x[i], argument, width);
  up[i] = __shfl_up_sync(kFullMask, x[i], static_cast<unsigned>(argument), width);
  down[i] = __shfl_down_sync(kFullMask, x[i], static_cast<unsigned>(argument), width);
  exclusive_or[i] = __shfl_xor_sync(kFullMask, x[i], argument, width);
}

template <class T>
void check_shuffles() {
  std::vector<T> x(64);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<T>(3 * i + 1) * (sizeof(T) == 8 ? static_cast<T>(1u << 30) : T{1});
  const DeviceArray<T> device_x(x), index(64), up(64), down(64), exclusive_or(64);
  for (int width : kThreadSanitizer ? std::vector{32, 8} : std::vector{32, 16, 8, 4, 2, 1}) {
    for (int argument : kThreadSanitizer ? std::vector{5} : std::vector{0, 1, 3, 5, 16, 31}) {
      launch(shuffles<T>, 1, 64, 0, nullptr, device_x.data(), index.data(), up.data(), down.data(), exclusive_or.data(),
             argument, width);
      const auto got_index = index.values(), got_up = up.values(), got_down = down.values(),
                 got_xor = exclusive_or.values();
      for (int i = 0; i < 64; ++i) {
        const int begin = i / width * width, end = begin + width;
        const auto at = [&](int source) { return x[static_cast<std::size_t>(source)]; };
        const auto k = static_cast<std::size_t>(i);
        EXPECT_EQ(got_index[k], at(begin + argument % width));
        EXPECT_EQ(got_up[k], at(i - argument >= begin ? i - argument : i));
        EXPECT_EQ(got_down[k], at(i + argument < end ? i + argument : i));
        EXPECT_EQ(got_xor[k], at((i ^ argument) < end ? i ^ argument : i));
      }
    }
  }
}

TEST(Shuffles, AllKindsAndWidths) {
  check_shuffles<int>();
  check_shuffles<float>();
  check_shuffles<double>();
  check_shuffles<unsigned long long>();
}

__global__ void votes(unsigned* ballots, int* any, int* all, int* block_or, int* block_and, int* block_count) {
  const unsigned i = threadIdx.x;
  ballots[i] = __ballot_sync(kFullMask, i % 3 == 0);
  any[i] = __any_sync(kFullMask, i == 40);
  all[i] = __all_sync(kFullMask, i < 32);
  block_or[i] = __syncthreads_or(i == 40);
  block_and[i] = __syncthreads_and(i != 40);
  block_count[i] = __syncthreads_count(i % 3 == 0);
  // The halves of a warp on their own, then together.
  if (i % 32 < 16) ballots[i] ^= __ballot_sync(0x0000ffffu, i % 32 == 2);
  __syncwarp();
}

TEST(Votes, OfAWarpAndOfABlock) {
  const DeviceArray<unsigned> ballots(64);
  const DeviceArray<int> any(64), all(64), block_or(64), block_and(64), block_count(64);
  launch(votes, 1, 64, 0, nullptr, ballots.data(), any.data(), all.data(), block_or.data(), block_and.data(),
         block_count.data());
  for (unsigned i = 0; i < 64; ++i) {
    unsigned expected = 0;
    for (unsigned l = 0; l < 32; ++l) expected |= ((i / 32 * 32 + l) % 3 == 0 ? 1u : 0u) << l;
    if (i % 32 < 16) expected ^= 1u << 2;
    EXPECT_EQ(ballots.values()[i], expected);
    EXPECT_EQ(any.values()[i], i / 32);
    EXPECT_EQ(all.values()[i], 1 - static_cast<int>(i / 32));
    EXPECT_EQ(block_or.values()[i], 1);
    EXPECT_EQ(block_and.values()[i], 0);
    EXPECT_EQ(block_count.values()[i], 22);
  }
}

struct Totals {
  int sum, smallest, largest;
  unsigned bits, taken;
  unsigned long long wide;
  float real;
  double precise;
};

__global__ void atomics(Totals* t) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&t->sum, i);
  atomicMin(&t->smallest, -i);
  atomicMax(&t->largest, i);
  atomicOr(&t->bits, 1u << (i % 32));
  atomicCAS(&t->taken, 0u, static_cast<unsigned>(i) + 1);
  atomicAdd(&t->wide, 1ull << 33);
  atomicAdd(&t->real, 0.5f);
  atomicAdd(&t->precise, 0.25);
}

TEST(Atomics, FromManyBlocks) {
  const DeviceArray<Totals> totals(std::vector<Totals>{Totals{}});
  launch(atomics, 4, 64, 0, nullptr, totals.data());
  const Totals t = totals.values()[0];
  EXPECT_EQ(t.sum, 255 * 256 / 2);
  EXPECT_EQ(t.smallest, -255);
  EXPECT_EQ(t.largest, 255);
  EXPECT_EQ(t.bits, 0xffffffffu);
  EXPECT_TRUE(t.taken >= 1 && t.taken <= 256);
  EXPECT_EQ(t.wide, 256ull << 33);
  EXPECT_EQ(t.real, 128.0f);
  EXPECT_EQ(t.precise, 64.0);
}

// Each block leaves its partial sum; the block that finishes last adds them up.
__global__ void sum_by_last_block(const float* x, float* partial, unsigned* finished, float* total) {
  SHARED_ARRAY(bool, is_last, 1);
  const float sum = block_sum<64>(x[blockIdx.x * 64 + threadIdx.x]);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    is_last[0] = atomicInc(finished, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last[0]) return;
  const float all = block_sum<64>(threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0.0f);
  if (threadIdx.x == 0) *total = all;
}

TEST(Atomics, LastBlockSeesThePartialSumsOfAll) {
  const DeviceArray<float> x(std::vector<float>(256, 0.5f)), partial(4), total(1);
  const DeviceArray<unsigned> finished(std::vector<unsigned>{0});
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    simt::set_seed(seed);
    launch(sum_by_last_block, 4, 64, 0, nullptr, x.data(), partial.data(), finished.data(), total.data());
    EXPECT_EQ(total.values()[0], 128.0f);
    EXPECT_EQ(finished.values()[0], 0u);
  }
}

__global__ void unwritten_shared(int* is_nan) {
  SHARED_ARRAY(float, tile, 64);
  SHARED_ARRAY_2D(float, grid, 8, 9);
  SHARED_DYNAMIC(float, row);
  is_nan[blockIdx.x * 64 + threadIdx.x] =
      std::isnan(tile[threadIdx.x]) && std::isnan(grid[threadIdx.x / 8][threadIdx.x % 8]) &&
      std::isnan(row[threadIdx.x]) && reinterpret_cast<std::uintptr_t>(tile) % 16 == 0 &&
      reinterpret_cast<std::uintptr_t>(row) % 16 == 0;
  __syncthreads();
  tile[threadIdx.x] = grid[threadIdx.x / 8][threadIdx.x % 8] = row[threadIdx.x] =
      0.0f;  // the next block must not see it
}

TEST(Shared, StartsAsNanInEveryBlock) {
  const DeviceArray<int> is_nan(128);
  for (int i = 0; i < 3; ++i) {
    launch(unwritten_shared, 2, 64, 64 * sizeof(float), nullptr, is_nan.data());
    EXPECT_EQ(is_nan.values(), std::vector<int>(128, 1));
  }
}

__global__ void copy_groups(const float* from, float* to) {
  const int i = static_cast<int>(threadIdx.x);
  store_group(to + 4 * i, load_group<4>(from + 4 * i));
}

TEST(Vector, LoadsAndStores) {
  std::vector<float> x(256);
  std::iota(x.begin(), x.end(), 0.0f);
  const DeviceArray<float> from(x), to(256);
  launch(copy_groups, 1, 64, 0, nullptr, from.data(), to.data());
  EXPECT_EQ(to.values(), x);
  EXPECT_TRUE(aligned16(from.data(), to.data() + 4));
  EXPECT_FALSE(aligned16(from.data(), to.data() + 1));
  EXPECT_TRUE(stride_aligned16<float>(8));
  EXPECT_FALSE(stride_aligned16<float>(6));
}

TEST(Intrinsics, OfIntegersAndBits) {
  EXPECT_EQ(__umulhi(0xd2511f53u, 0xcd9e8d57u), static_cast<unsigned>((0xd2511f53ull * 0xcd9e8d57ull) >> 32));
  EXPECT_EQ(__mulhi(-5, 7), -1);
  EXPECT_EQ(__umul64hi(~0ull, 2), 1ull);
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__funnelshift_l(0x80000000u, 1u, 1), 3u);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__uint_as_float(0x40000000u), 2.0f);
  EXPECT_EQ(__float2int_rn(2.5f), 2);
  EXPECT_EQ(__float2int_rn(std::nanf("")), 0);
  EXPECT_EQ(__float2int_rz(1e20f), std::numeric_limits<int>::max());
  EXPECT_EQ(min(3, 4u), 3u);
  EXPECT_EQ(max(std::nanf(""), 1.0f), 1.0f);
  EXPECT_EQ(__fmaf_rn(1.0f + 0x1p-12f, 1.0f + 0x1p-12f, -1.0f), 0x1p-11f + 0x1p-24f);
  EXPECT_EQ(rsqrtf(4.0f), 0.5f);
}

}  // namespace
