// The steps of the device's auction, for tests of it and for machines without one: plain loops, rows in parallel. From
// points 2 d + 5 operations a pair, stored 4 bytes and 5. (ot/auction.h is the auction for a CPU.)
#include "kernels/auction.h"

#include <algorithm>

#include "kernels/device/auction.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

template <class CostOf>
void scan(const AuctionRows& to, const View<const std::int64_t>& price, float scale, std::int64_t work_a_pair,
          const CostOf& cost_of) {
  const std::int64_t count = std::min<std::int64_t>(to.count.data[0], to.rows.shape[0]), m = price.shape[0];
  host::parallel_rows(count, m * work_a_pair, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t slot = begin; slot < end; ++slot) {
      const std::int64_t i = to.rows.data[slot];
      TwoLeast least;
      for (std::int64_t j = 0; j < m; ++j)
        least.offer(whole_cost(cost_of(i, j), scale) + price.data[j], static_cast<std::int32_t>(j));
      to.column.data[slot] = least.column;
      to.first.data[slot] = least.first;
      to.second.data[slot] = least.second;
    }
  });
}

template <class CostOf>
void check_own(const AuctionCheck& to, float scale, const CostOf& cost_of) {
  for (std::int64_t i = 0; i < to.column_of.shape[0]; ++i) {
    const std::int32_t j = to.column_of.data[i];
    to.value.data[i] = 0;
    if (j < 0) continue;
    const std::int64_t value = whole_cost(cost_of(i, j), scale) + to.price.data[j];
    to.value.data[i] = value;
    if (value - to.first.data[i] <= to.epsilon) continue;
    to.column_of.data[i] = -1;
    to.owner.data[j] = -1;
  }
}

}  // namespace

void auction_scan_points(Stream&, const AuctionScanPoints& a) {
  const std::int64_t d = a.x.columns();
  scan(a.to, a.price, a.scale, std::max<std::int64_t>(1, d),
       [&](std::int64_t i, std::int64_t j) { return squared_distance_in_order(a.x.row(i), a.y.row(j), d); });
}

void auction_scan_stored(Stream&, const AuctionScanStored& a) {
  scan(a.to, a.price, a.scale, 1, [&](std::int64_t i, std::int64_t j) { return a.costs.row(i)[j]; });
}

void auction_bid(Stream&, const AuctionBid& a) {
  const std::int64_t count = std::min<std::int64_t>(a.count.data[0], a.rows.shape[0]);
  for (std::int64_t slot = 0; slot < count; ++slot) {
    if (a.column.data[slot] < 0) continue;
    std::uint64_t& highest = a.bids.data[a.column.data[slot]];
    highest = std::max(highest, pack_bid(a.first.data[slot], a.second.data[slot], a.epsilon, a.rows.data[slot]));
  }
}

void auction_assign(Stream&, const AuctionAssign& a) {
  for (std::int64_t j = 0; j < a.bids.shape[0]; ++j) {
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

void auction_list(Stream&, const AuctionList& a) {
  std::int32_t count = 0;
  for (std::int64_t i = 0; i < a.column_of.shape[0]; ++i)
    if (a.column_of.data[i] < 0) a.rows.data[count++] = static_cast<std::int32_t>(i);
  a.count.data[0] = count;
}

void auction_check_points(Stream&, const AuctionCheckPoints& a) {
  check_own(a.to, a.scale, [&](std::int64_t i, std::int64_t j) {
    return squared_distance_in_order(a.x.row(i), a.y.row(j), a.x.columns());
  });
}

void auction_check_stored(Stream&, const AuctionCheckStored& a) {
  check_own(a.to, a.scale, [&](std::int64_t i, std::int64_t j) { return a.costs.row(i)[j]; });
}

}  // namespace otnfm::cpu
