// For tests of the device's auction, and for machines without one: plain loops, rows in parallel. A list costs 32
// pairs, a whole scan m and a partial sort.
#include "kernels/auction_lists.h"

#include <algorithm>
#include <utility>

#include "kernels/device/auction.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"

namespace otnfm::cpu {
namespace {

template <class CostOf>
void rescan(const AuctionRows& to, const AuctionLists& lists, const View<const std::int64_t>& price, float scale,
            std::int64_t work_a_pair, const CostOf& cost_of) {
  const std::int64_t count = std::min<std::int64_t>(to.count.data[0], to.rows.shape[0]), m = price.shape[0];
  host::parallel_rows(count, m * work_a_pair, [&](std::int64_t begin, std::int64_t end) {
    HostVector<std::pair<std::int64_t, std::int32_t>> values;
    for (std::int64_t slot = begin; slot < end; ++slot) {
      const std::int64_t i = to.rows.data[slot];
      std::int32_t* const list = lists.columns.row(i);
      const auto value_of = [&](std::int64_t j) { return whole_cost(cost_of(i, j), scale) + price.data[j]; };
      TwoLeast least;
      if (lists.beyond.data[i] != kNoList)
        for (std::int64_t k = 0; k < kAuctionListLength; ++k)
          if (list[k] >= 0) least = MergeTwoLeast{}(least, TwoLeast{value_of(list[k]), kNoValue, list[k]});
      if (!list_decides(least, lists.beyond.data[i])) {
        values.resize(static_cast<std::size_t>(m));
        for (std::int64_t j = 0; j < m; ++j)
          values[static_cast<std::size_t>(j)] = {value_of(j), static_cast<std::int32_t>(j)};
        const std::int64_t kept = std::min(m, kAuctionListLength);
        if (m > kept) std::nth_element(values.begin(), values.begin() + kept, values.end());
        lists.beyond.data[i] = m > kept ? values[static_cast<std::size_t>(kept)].first : kNoValue;
        std::sort(values.begin(), values.begin() + kept);
        for (std::int64_t k = 0; k < kAuctionListLength; ++k)
          list[k] = k < kept ? values[static_cast<std::size_t>(k)].second : -1;
        least = TwoLeast{};
        for (std::int64_t k = 0; k < std::min<std::int64_t>(kept, 2); ++k)
          least = MergeTwoLeast{}(least, TwoLeast{values[static_cast<std::size_t>(k)].first, kNoValue, list[k]});
      }
      to.column.data[slot] = least.column;
      to.first.data[slot] = least.first;
      to.second.data[slot] = least.second;
    }
  });
}

}  // namespace

void auction_rescan_points(Stream&, const AuctionRescanPoints& a) {
  const std::int64_t d = a.x.columns();
  rescan(a.to, a.lists, a.price, a.scale, std::max<std::int64_t>(1, d),
         [&](std::int64_t i, std::int64_t j) { return squared_distance_in_order(a.x.row(i), a.y.row(j), d); });
}

void auction_rescan_stored(Stream&, const AuctionRescanStored& a) {
  rescan(a.to, a.lists, a.price, a.scale, 1, [&](std::int64_t i, std::int64_t j) { return a.costs.row(i)[j]; });
}

}  // namespace otnfm::cpu
