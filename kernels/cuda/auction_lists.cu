// A block a listed row. While its list decides, one warp reads 32 costs and prices: a row of y or a 4-byte cost each,
// from L2, so a round of the tail costs its launches, some microseconds, whatever m is. Otherwise the block reads the
// row's m costs (2 d + 12 instructions, or 4 bytes, a pair), each of its 8 warps with the 32 least of its columns in
// registers, a lane each; a new one is put in its place by a ballot and a shift, which random columns need some 32
// ln(m / 256) + 32 times a warp. m = 16384, stored: 64 KiB, 20 us by one block's share of memory, hundreds at once.
#include "kernels/auction_lists.h"

#include <algorithm>

#include "kernels/device/auction.h"
#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
static_assert(kAuctionListLength == kWarpSize, "a lane holds an entry");
constexpr std::int32_t kNoColumn = 0x7fffffff;

struct Entry {
  std::int64_t value = kNoValue;
  std::int32_t column = kNoColumn;
};

__device__ __forceinline__ bool before(const Entry& a, const Entry& b) {
  return a.value < b.value || (a.value == b.value && a.column < b.column);
}

/// Lane l has the l-th least entry of those the warp has seen; outside, the least value of the others that this lane
/// has turned away.
struct WarpList {
  Entry entry;
  std::int64_t outside = kNoValue;

  /// Every lane offers one.
  __device__ __forceinline__ void offer(Entry mine, int lane) {
    while (true) {
      const Entry last{__shfl_sync(kFullMask, entry.value, kWarpSize - 1),
                       __shfl_sync(kFullMask, entry.column, kWarpSize - 1)};
      const unsigned wanting = __ballot_sync(kFullMask, before(mine, last));
      if (wanting == 0) break;
      const int from = __ffs(static_cast<int>(wanting)) - 1;
      const Entry entering{__shfl_sync(kFullMask, mine.value, from), __shfl_sync(kFullMask, mine.column, from)};
      const int place = __popc(__ballot_sync(kFullMask, before(entry, entering)));
      const Entry lower{__shfl_up_sync(kFullMask, entry.value, 1), __shfl_up_sync(kFullMask, entry.column, 1)};
      if (lane == kWarpSize - 1 && last.value < outside) outside = last.value;
      if (lane > place) entry = lower;
      if (lane == place) entry = entering;
      if (lane == from) mine = Entry{};
    }
    outside = mine.value < outside ? mine.value : outside;
  }
};

struct Least {
  __device__ __forceinline__ std::int64_t operator()(std::int64_t a, std::int64_t b) const { return a < b ? a : b; }
};

struct PointCost {
  View<const float> x, y;
  __device__ __forceinline__ float operator()(std::int64_t i, std::int64_t j) const {
    return squared_distance_in_order(x.row(i), y.row(j), x.columns());
  }
};

struct StoredCost {
  View<const float> costs;
  __device__ __forceinline__ float operator()(std::int64_t i, std::int64_t j) const { return costs.row(i)[j]; }
};

template <class CostOf>
__global__ void __launch_bounds__(kThreads)
    rescan_kernel(CostOf cost_of, float scale, View<const std::int64_t> price, AuctionLists lists, AuctionRows to) {
  SHARED_ARRAY(Entry, entries, kThreads);
  SHARED_ARRAY(std::int64_t, outsides, kWarps);
  SHARED_ARRAY(int, decided, 1);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t count = min(static_cast<std::int64_t>(to.count.data[0]), to.rows.shape[0]), m = price.shape[0];
  for (std::int64_t slot = blockIdx.x; slot < count; slot += gridDim.x) {
    const std::int64_t i = to.rows.data[slot];
    if (warp == 0) {
      const std::int64_t beyond = lists.beyond.data[i];
      TwoLeast least;
      if (beyond != kNoList) {
        const std::int32_t j = lists.columns.row(i)[lane];
        if (j >= 0) {
          least.first = whole_cost(cost_of(i, j), scale) + price.data[j];
          least.column = j;
        }
        least = warp_reduce(least, MergeTwoLeast{});
      }
      if (lane == 0) {
        decided[0] = list_decides(least, beyond) ? 1 : 0;
        to.column.data[slot] = least.column;
        to.first.data[slot] = least.first;
        to.second.data[slot] = least.second;
      }
    }
    __syncthreads();
    const bool done = decided[0] != 0;
    __syncthreads();
    if (done) continue;  // the whole block
    WarpList list;
    for (std::int64_t start = std::int64_t{warp} * kWarpSize; start < m; start += kThreads) {
      const std::int64_t j = start + lane;
      Entry mine;
      if (j < m) {
        mine.value = whole_cost(cost_of(i, j), scale) + price.data[j];
        mine.column = static_cast<std::int32_t>(j);
      }
      list.offer(mine, lane);
    }
    entries[threadIdx.x] = list.entry;
    const std::int64_t outside = warp_reduce(list.outside, Least{});
    if (lane == 0) outsides[warp] = outside;
    __syncthreads();
    if (warp != 0) continue;
    for (int other = 1; other < kWarps; ++other) list.offer(entries[other * kWarpSize + lane], lane);
    const std::int64_t others = lane < kWarps ? outsides[lane] : kNoValue;
    const std::int64_t beyond = warp_reduce(others < list.outside ? others : list.outside, Least{});
    lists.columns.row(i)[lane] = list.entry.column == kNoColumn ? -1 : list.entry.column;
    const std::int64_t second = __shfl_sync(kFullMask, list.entry.value, 1);
    if (lane == 0) {
      lists.beyond.data[i] = beyond;
      to.column.data[slot] = list.entry.column == kNoColumn ? -1 : list.entry.column;
      to.first.data[slot] = list.entry.value;
      to.second.data[slot] = second;
    }
  }
}

/// Blocks that a device holds at once; beyond, each takes several rows.
constexpr std::int64_t kMostBlocks = 8 * 132;

template <class CostOf>
void rescan(Stream& stream, const CostOf& cost_of, float scale, const View<const std::int64_t>& price,
            const AuctionLists& lists, const AuctionRows& to) {
  if (to.rows.shape[0] == 0) return;
  launch(rescan_kernel<CostOf>, static_cast<unsigned>(std::min(to.rows.shape[0], kMostBlocks)), kThreads, 0,
         stream.cuda(), cost_of, scale, price, lists, to);
}

}  // namespace

void auction_rescan_points(Stream& stream, const AuctionRescanPoints& a) {
  rescan(stream, PointCost{a.x, a.y}, a.scale, a.price, a.lists, a.to);
}

void auction_rescan_stored(Stream& stream, const AuctionRescanStored& a) {
  rescan(stream, StoredCost{a.costs}, a.scale, a.price, a.lists, a.to);
}

}  // namespace otnfm::cuda
