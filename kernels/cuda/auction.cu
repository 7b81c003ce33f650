// Scans, for k listed rows and m columns:
//   stored  4 k m bytes of costs (and 8 m of prices, from L2, once for 4 rows): k = m = 16384 is 1.07 GB, 0.25 ms at
//           4.3 TB/s. Some 12 instructions a pair, of which the 64-bit comparisons are most: at 4 x 32 a clock on 132
//           multiprocessors that is 0.12 ms, so memory decides. A warp takes 4 rows at once.
//   points  d <= 16: 2 d + 12 instructions a pair, no memory to speak of: k = m = 16384, d = 2 is 0.15 ms. Above, by
//           tiles of 64 x 64 with 4 x 4 sums a thread: 2 instructions (a subtraction and a fused multiply-add, 3 FLOPs)
//           a pair and dimension: d = 64, 1.3 ms. Differences and not products: a price is decided by the last places.
// Both split the columns over blocks where rows are few; the parts are merged by a second launch. The two least and the
// lowest column do not depend on the split.
//
// The other steps move some 20 bytes a row or column: microseconds. auction_list is one block, so that its order is the
// rows' own: n / 1024 steps of about a microsecond.
#include "kernels/auction.h"

#include <algorithm>

#include "kernels/device/auction.h"
#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
constexpr std::int64_t kBlocksWanted = 4 * 132;  // a constant: see kMaxStridedBlocks

/// How many of the listed rows count.
__device__ __forceinline__ std::int64_t listed(const AuctionRows& to) {
  return min(static_cast<std::int64_t>(to.count.data[0]), to.rows.shape[0]);
}

/// parts [chunks, k]
__global__ void merge_parts_kernel(AuctionRows to, const TwoLeast* parts, std::int64_t chunks, std::int64_t first_slot,
                                   std::int64_t slots) {
  const std::int64_t count = min(listed(to) - first_slot, slots);
  for (std::int64_t slot = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; slot < count;
       slot += std::int64_t{gridDim.x} * kThreads) {
    TwoLeast least;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) least = MergeTwoLeast{}(least, parts[chunk * slots + slot]);
    to.column.data[first_slot + slot] = least.column;
    to.first.data[first_slot + slot] = least.first;
    to.second.data[first_slot + slot] = least.second;
  }
}

// ---- Stored

constexpr int kRowsAtOnce = 4;

__global__ void scan_stored_kernel(AuctionScanStored a, std::int64_t first_slot, std::int64_t slots,
                                   std::int64_t chunk_columns, TwoLeast* parts) {
  const std::int64_t count = min(listed(a.to) - first_slot, slots);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t slot = (std::int64_t{blockIdx.x} * kWarps + warp) * kRowsAtOnce;
  if (slot >= count) return;
  const std::int64_t begin = blockIdx.y * chunk_columns, end = min(begin + chunk_columns, a.costs.columns());
  const float* rows[kRowsAtOnce];
  TwoLeast least[kRowsAtOnce];
#pragma unroll
  for (int r = 0; r < kRowsAtOnce; ++r) rows[r] = a.costs.row(a.to.rows.data[first_slot + min(slot + r, count - 1)]);
#pragma unroll 2
  for (std::int64_t j = begin + lane; j < end; j += kWarpSize) {
    const std::int64_t price = a.price.data[j];
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r)
      least[r].offer(whole_cost(rows[r][j], a.scale) + price, static_cast<std::int32_t>(j));
  }
#pragma unroll
  for (int r = 0; r < kRowsAtOnce; ++r) {
    const TwoLeast merged = warp_reduce(least[r], MergeTwoLeast{});
    if (lane == 0 && slot + r < count) parts[blockIdx.y * slots + slot + r] = merged;
  }
}

// ---- Points in few dimensions

constexpr int kDirectThreads = 128, kQueries = 2, kTile = 256, kMostDirect = 16;

/// d <= kD; the coordinates that are not there are 0 on both sides, which changes no sum.
template <int kD>
__global__ void scan_direct_kernel(AuctionScanPoints a, std::int64_t first_slot, std::int64_t slots,
                                   std::int64_t chunk_columns, TwoLeast* parts) {
  SHARED_ARRAY(float, points, kTile* kD);
  SHARED_ARRAY(std::int64_t, prices, kTile);
  const std::int64_t count = min(listed(a.to) - first_slot, slots), m = a.y.rows();
  const std::int64_t slot = std::int64_t{blockIdx.x} * kDirectThreads * kQueries + threadIdx.x;
  if (std::int64_t{blockIdx.x} * kDirectThreads * kQueries >= count) return;
  const int d = static_cast<int>(a.x.columns());
  const std::int64_t begin = blockIdx.y * chunk_columns, end = min(begin + chunk_columns, m);
  float x[kQueries][kD];
  TwoLeast least[kQueries];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const std::int64_t at = slot + q * kDirectThreads;
    const float* const row = a.x.row(a.to.rows.data[first_slot + min(at, count - 1)]);
    for (int k = 0; k < kD; ++k) x[q][k] = k < d ? row[k] : 0.0f;
  }
  for (std::int64_t tile = begin; tile < end; tile += kTile) {
    const int columns = static_cast<int>(min(std::int64_t{kTile}, end - tile));
    __syncthreads();
    for (int at = static_cast<int>(threadIdx.x); at < columns * kD; at += kDirectThreads) {
      const int j = at / kD, k = at % kD;
      points[at] = k < d ? a.y.row(tile + j)[k] : 0.0f;
    }
    for (int j = static_cast<int>(threadIdx.x); j < columns; j += kDirectThreads) prices[j] = a.price.data[tile + j];
    __syncthreads();
    for (int j = 0; j < columns; ++j) {
      const std::int64_t price = prices[j];
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        float sum = 0;
#pragma unroll
        for (int k = 0; k < kD; ++k) {
          const float difference = x[q][k] - points[j * kD + k];
          sum = fma_rn(difference, difference, sum);
        }
        least[q].offer(whole_cost(sum, a.scale) + price, static_cast<std::int32_t>(tile) + j);
      }
    }
  }
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const std::int64_t at = slot + q * kDirectThreads;
    if (at < count) parts[blockIdx.y * slots + at] = least[q];
  }
}

// ---- Points in many dimensions

constexpr int kSide = 64;   // rows and columns a tile
constexpr int kDepth = 16;  // dimensions a step
constexpr int kSums = 4;    // a thread has 4 x 4 of the tile's sums
constexpr int kThreadsARow = kSide / kSums;
constexpr int kLoaders = kThreads / kSide, kLoads = kDepth / kLoaders;

__global__ void __launch_bounds__(kThreads)
    scan_tiles_kernel(AuctionScanPoints a, std::int64_t first_slot, std::int64_t slots, std::int64_t chunk_columns,
                      TwoLeast* parts) {
  SHARED_ARRAY_2D(float, xs, kDepth, kSide + 4);
  SHARED_ARRAY_2D(float, ys, kDepth, kSide + 4);
  const std::int64_t count = min(listed(a.to) - first_slot, slots), d = a.x.columns(), m = a.y.rows();
  const std::int64_t slot = std::int64_t{blockIdx.x} * kSide;
  if (slot >= count) return;
  const std::int64_t begin = blockIdx.y * chunk_columns, end = min(begin + chunk_columns, m);
  const int i0 = static_cast<int>(threadIdx.x) / kThreadsARow * kSums,
            j0 = static_cast<int>(threadIdx.x) % kThreadsARow * kSums;
  const int loaded = static_cast<int>(threadIdx.x) / kLoaders, k0 = static_cast<int>(threadIdx.x) % kLoaders * kLoads;
  const float* const x = a.x.row(a.to.rows.data[first_slot + min(slot + loaded, count - 1)]);
  TwoLeast least[kSums];
  for (std::int64_t tile = begin; tile < end; tile += kSide) {
    const float* const y = a.y.row(min(tile + loaded, end - 1));
    float sums[kSums][kSums] = {};
    for (std::int64_t depth = 0; depth < d; depth += kDepth) {
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kLoads; ++k) {
        const std::int64_t at = depth + k0 + k;
        xs[k0 + k][loaded] = at < d ? x[at] : 0.0f;
        ys[k0 + k][loaded] = at < d ? y[at] : 0.0f;
      }
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kDepth; ++k) {
        float left[kSums], right[kSums];
#pragma unroll
        for (int s = 0; s < kSums; ++s) left[s] = xs[k][i0 + s], right[s] = ys[k][j0 + s];
#pragma unroll
        for (int s = 0; s < kSums; ++s)
#pragma unroll
          for (int t = 0; t < kSums; ++t) {
            const float difference = left[s] - right[t];
            sums[s][t] = fma_rn(difference, difference, sums[s][t]);
          }
      }
    }
#pragma unroll
    for (int t = 0; t < kSums; ++t) {
      const std::int64_t j = tile + j0 + t;
      if (j >= end) continue;
      const std::int64_t price = a.price.data[j];
#pragma unroll
      for (int s = 0; s < kSums; ++s)
        least[s].offer(whole_cost(sums[s][t], a.scale) + price, static_cast<std::int32_t>(j));
    }
  }
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    TwoLeast merged = least[s];
    for (int step = kThreadsARow / 2; step > 0; step /= 2) merged = MergeTwoLeast{}(merged, shuffle_xor(merged, step));
    if (j0 == 0 && slot + i0 + s < count) parts[blockIdx.y * slots + slot + i0 + s] = merged;
  }
}

using PointKernel = void (*)(AuctionScanPoints, std::int64_t, std::int64_t, std::int64_t, TwoLeast*);

PointKernel point_kernel_of(std::int64_t d) {
  if (d <= 1) return scan_direct_kernel<1>;
  if (d <= 2) return scan_direct_kernel<2>;
  if (d <= 3) return scan_direct_kernel<3>;
  if (d <= 8) return scan_direct_kernel<8>;
  return d <= kMostDirect ? scan_direct_kernel<kMostDirect> : scan_tiles_kernel;
}

/// Launches kernel(a, first_slot, slots, chunk_columns, parts) over all listed rows, as many at once as have room in
/// the workspace, `block_rows` a block and the columns in chunks of whole `unit`s; then merges.
template <class Arguments>
void scan(Stream& stream, const Arguments& a,
          void (*kernel)(Arguments, std::int64_t, std::int64_t, std::int64_t, TwoLeast*), int threads,
          std::int64_t block_rows, std::int64_t m, std::int64_t unit) {
  TwoLeast* const parts = reinterpret_cast<TwoLeast*>(stream.workspace());
  constexpr std::int64_t kCapacity = Stream::kWorkspaceBytes / sizeof(TwoLeast);
  const std::int64_t k = a.to.rows.shape[0], units = std::max<std::int64_t>(1, (m + unit - 1) / unit);
  const std::int64_t most_slots = kCapacity / 2;
  for (std::int64_t first = 0; first < k; first += most_slots) {
    const std::int64_t slots = std::min(most_slots, k - first), blocks = (slots + block_rows - 1) / block_rows;
    const std::int64_t wanted = std::clamp<std::int64_t>(kBlocksWanted / blocks, 1, std::min(units, kCapacity / slots));
    const std::int64_t each = (units + wanted - 1) / wanted, chunks = (units + each - 1) / each;
    launch(kernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(chunks)), threads, 0, stream.cuda(), a,
           first, slots, each * unit, parts);
    launch(merge_parts_kernel, grid_for(slots, kThreads), kThreads, 0, stream.cuda(), a.to, parts, chunks, first,
           slots);
  }
}

// ---- The other steps

__global__ void bid_kernel(AuctionBid a) {
  const std::int64_t count = min(static_cast<std::int64_t>(a.count.data[0]), a.rows.shape[0]);
  for (std::int64_t slot = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; slot < count;
       slot += std::int64_t{gridDim.x} * kThreads) {
    const std::int32_t j = a.column.data[slot];
    if (j >= 0)
      atomicMax(reinterpret_cast<unsigned long long*>(a.bids.data + j),
                static_cast<unsigned long long>(
                    pack_bid(a.first.data[slot], a.second.data[slot], a.epsilon, a.rows.data[slot])));
  }
}

/// A row bids for one column only, and has none: no two columns write the same row.
__global__ void assign_kernel(AuctionAssign a) {
  for (std::int64_t j = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; j < a.bids.shape[0];
       j += std::int64_t{gridDim.x} * kThreads) {
    const std::uint64_t bid = a.bids.data[j];
    if (bid == 0) continue;
    const std::int32_t row = row_of(bid), before = a.owner.data[j];
    if (before >= 0) a.column_of.data[before] = -1;
    a.column_of.data[row] = static_cast<std::int32_t>(j);
    a.owner.data[j] = row;
    a.price.data[j] += raise_of(bid);
    a.bids.data[j] = 0;
  }
}

constexpr int kListThreads = 1024, kListWarps = kListThreads / kWarpSize;

__global__ void list_kernel(AuctionList a) {
  SHARED_ARRAY(int, warp_counts, kListWarps);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t n = a.column_of.shape[0];
  int total = 0;
  for (std::int64_t first = 0; first < n; first += kListThreads) {
    const std::int64_t i = first + threadIdx.x;
    const bool free = i < n && a.column_of.data[i] < 0;
    const unsigned ballot = __ballot_sync(kFullMask, free);
    if (lane == 0) warp_counts[warp] = __popc(ballot);
    __syncthreads();
    int before = 0, all = 0;
    for (int w = 0; w < kListWarps; ++w) {
      before += w < warp ? warp_counts[w] : 0;
      all += warp_counts[w];
    }
    if (free) a.rows.data[total + before + __popc(ballot & ((1u << lane) - 1))] = static_cast<std::int32_t>(i);
    total += all;
    __syncthreads();
  }
  if (threadIdx.x == 0) a.count.data[0] = total;
}

__device__ __forceinline__ void check_own(const AuctionCheck& to, std::int64_t i, std::int32_t j, float cost,
                                          float scale) {
  const std::int64_t value = whole_cost(cost, scale) + to.price.data[j];
  to.value.data[i] = value;
  if (value - to.first.data[i] <= to.epsilon) return;
  to.column_of.data[i] = -1;
  to.owner.data[j] = -1;
}

__global__ void check_points_kernel(AuctionCheckPoints a) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < a.x.rows();
       i += std::int64_t{gridDim.x} * kThreads) {
    const std::int32_t j = a.to.column_of.data[i];
    if (j < 0) {
      a.to.value.data[i] = 0;
      continue;
    }
    check_own(a.to, i, j, squared_distance_in_order(a.x.row(i), a.y.row(j), a.x.columns()), a.scale);
  }
}

__global__ void check_stored_kernel(AuctionCheckStored a) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < a.costs.rows();
       i += std::int64_t{gridDim.x} * kThreads) {
    const std::int32_t j = a.to.column_of.data[i];
    if (j < 0)
      a.to.value.data[i] = 0;
    else
      check_own(a.to, i, j, a.costs.row(i)[j], a.scale);
  }
}

}  // namespace

void auction_scan_points(Stream& stream, const AuctionScanPoints& a) {
  const bool direct = a.x.columns() <= kMostDirect;
  scan(stream, a, point_kernel_of(a.x.columns()), direct ? kDirectThreads : kThreads,
       direct ? kDirectThreads * kQueries : kSide, a.y.rows(), direct ? kTile : kSide);
}

void auction_scan_stored(Stream& stream, const AuctionScanStored& a) {
  scan(stream, a, scan_stored_kernel, kThreads, kWarps * kRowsAtOnce, a.costs.columns(), 16 * kWarpSize);
}

void auction_bid(Stream& stream, const AuctionBid& a) {
  launch(bid_kernel, grid_for(a.rows.shape[0], kThreads), kThreads, 0, stream.cuda(), a);
}

void auction_assign(Stream& stream, const AuctionAssign& a) {
  launch(assign_kernel, grid_for(a.bids.shape[0], kThreads), kThreads, 0, stream.cuda(), a);
}

void auction_list(Stream& stream, const AuctionList& a) {
  launch(list_kernel, 1, kListThreads, 0, stream.cuda(), a);
}

void auction_check_points(Stream& stream, const AuctionCheckPoints& a) {
  launch(check_points_kernel, grid_for(a.x.rows(), kThreads), kThreads, 0, stream.cuda(), a);
}

void auction_check_stored(Stream& stream, const AuctionCheckStored& a) {
  launch(check_stored_kernel, grid_for(a.costs.rows(), kThreads), kThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
