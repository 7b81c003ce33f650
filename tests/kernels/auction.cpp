// The steps that only make sense after one another (assign, check), which random buffers would not be legal for; and
// whole rounds against a plain auction in double.
#include "kernels/auction.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "kernels/device/auction.h"
#include "kernels/error.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

using Random = std::mt19937_64;

TEST(AuctionSteps, BidsArePackedAndSaturate) {
  const std::uint64_t low = pack_bid(10, 14, 2, 7), high = pack_bid(10, 15, 2, 9);
  EXPECT_EQ(raise_of(low), 6);
  EXPECT_EQ(row_of(low), 7);
  EXPECT_LT(low, high);
  EXPECT_LT(pack_bid(0, 3, 1, 5), pack_bid(0, 3, 1, 4)) << "the lower row wins a tie";
  const std::uint64_t bid = pack_bid(-(std::int64_t{1} << 61), std::int64_t{1} << 62, 5, 123456789);
  EXPECT_EQ(raise_of(bid), static_cast<std::int64_t>(kMostRaise));
  EXPECT_EQ(row_of(bid), 123456789);
  EXPECT_EQ(raise_of(pack_bid(7, kNoValue, 5, 0)), 5) << "the only column";
  EXPECT_NE(pack_bid(0, 0, 1, 2147483646), 0u);
}

TEST(AuctionSteps, CostsRoundAndSaturate) {
  EXPECT_EQ(whole_cost(1.5f, 2.0f), 3);
  EXPECT_EQ(whole_cost(-0.75f, 2.0f), -2);  // to the even one
  EXPECT_EQ(whole_cost(1e30f, 1.0f), std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(whole_cost(-1e30f, 1.0f), std::numeric_limits<std::int32_t>::min());
}

TEST(AuctionSteps, AssignMovesOwnersRaisesPricesAndClears) {
  for (const Device device : devices_at_hand()) {
    Stream stream(device);
    // Column 0 goes from row 2 to row 4, column 1 has no bid, column 2 was free and goes to row 0.
    DeviceArray<std::uint64_t> bids(stream, {pack_bid(5, 9, 1, 4), 0, pack_bid(5, 5, 1, 0)});
    DeviceArray<std::int64_t> price(stream, {100, 200, 300});
    DeviceArray<std::int32_t> owner(stream, {2, 3, -1}), column_of(stream, {-1, -1, 0, 1, -1});
    auction_assign(stream, {bids.vector(), price.vector(), owner.vector(), column_of.vector()});
    EXPECT_EQ(bids.values(), std::vector<std::uint64_t>(3, 0));
    EXPECT_EQ(price.values(), (std::vector<std::int64_t>{105, 200, 301}));
    EXPECT_EQ(owner.values(), (std::vector<std::int32_t>{4, 3, 0}));
    EXPECT_EQ(column_of.values(), (std::vector<std::int32_t>{2, -1, -1, 1, 0}));
  }
}

TEST(AuctionSteps, CheckGivesUpWhatIsTooDear) {
  for (const Device device : devices_at_hand()) {
    Stream stream(device);
    DeviceArray<float> costs(stream, {1, 5, 3, 2, 4, 6}), x(stream, {0, 1, 2}), y(stream, {0, 2});
    for (const bool stored : {true, false}) {
      DeviceArray<std::int64_t> price(stream, {10, 20}), first(stream, {11, 12, 14}), value(stream, {-1, -1, -1});
      DeviceArray<std::int32_t> column_of(stream, {0, -1, 1}), owner(stream, {0, 2});
      const AuctionCheck to{price.vector(), first.vector(), 9, column_of.vector(), owner.vector(), value.vector()};
      if (stored) {
        auction_check_stored(stream, {costs.matrix(3, 2), 1, to});
        EXPECT_EQ(value.values(), (std::vector<std::int64_t>{11, 0, 26}));
        EXPECT_EQ(column_of.values(), (std::vector<std::int32_t>{0, -1, -1}));
        EXPECT_EQ(owner.values(), (std::vector<std::int32_t>{0, -1}));
      } else {
        auction_check_points(stream, {x.matrix(3, 1), y.matrix(2, 1), 1, to});
        EXPECT_EQ(value.values(), (std::vector<std::int64_t>{10, 0, 20}));
        EXPECT_EQ(column_of.values(), (std::vector<std::int32_t>{0, -1, 1}));
        EXPECT_EQ(owner.values(), (std::vector<std::int32_t>{0, 2}));
      }
    }
  }
}

// Rounds until every row has a column: within epsilon of the least for every row, and the same on every backend.
TEST(AuctionSteps, RoundsEndWithinEpsilon) {
  Random random(std::random_device{}());
  for (const std::int64_t n : {1, 2, 17, 64}) {
    std::vector<float> costs(static_cast<std::size_t>(n * n));
    for (float& cost : costs) cost = static_cast<float>(random() % 1000);
    const std::int64_t epsilon = 5;
    std::vector<std::vector<std::int64_t>> prices;
    for (const Device device : devices_at_hand()) {
      Stream stream(device);
      const auto size = static_cast<std::size_t>(n);
      DeviceArray<float> c(stream, costs);
      DeviceArray<std::uint64_t> bids(stream, std::vector<std::uint64_t>(size, 0));
      DeviceArray<std::int64_t> price(stream, std::vector<std::int64_t>(size, 0)),
          first(stream, std::vector<std::int64_t>(size, 0)), second(stream, std::vector<std::int64_t>(size, 0));
      DeviceArray<std::int32_t> owner(stream, std::vector<std::int32_t>(size, -1)),
          column_of(stream, std::vector<std::int32_t>(size, -1)), rows(stream, std::vector<std::int32_t>(size, 0)),
          count(stream, {0}), column(stream, std::vector<std::int32_t>(size, 0));
      int round = 0;
      for (;; ++round) {
        auction_list(stream, {column_of.vector(), rows.vector(), count.vector()});
        if (count.values()[0] == 0) break;
        ASSERT_LT(round, 100000);
        auction_scan_stored(stream,
                            {c.matrix(n, n),
                             1,
                             price.vector(),
                             {rows.vector(), count.vector(), column.vector(), first.vector(), second.vector()}});
        auction_bid(stream, {rows.vector(), count.vector(), column.vector(), first.vector(), second.vector(), epsilon,
                             bids.vector()});
        auction_assign(stream, {bids.vector(), price.vector(), owner.vector(), column_of.vector()});
      }
      const auto p = price.values();
      const auto matched = column_of.values();
      std::vector<char> taken(size, 0);
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t j = matched[static_cast<std::size_t>(i)];
        ASSERT_GE(j, 0);
        EXPECT_EQ(taken[static_cast<std::size_t>(j)]++, 0);
        const auto value = [&](std::int64_t k) {
          return static_cast<std::int64_t>(costs[static_cast<std::size_t>(i * n + k)]) + p[static_cast<std::size_t>(k)];
        };
        for (std::int64_t k = 0; k < n; ++k) EXPECT_LE(value(j), value(k) + epsilon);
      }
      prices.push_back(p);
    }
    for (const auto& other : prices) EXPECT_EQ(other, prices[0]);
  }
}

TEST(AuctionSteps, RefuseBadArguments) {
  Stream stream(Device::cpu);
  DeviceArray<std::int32_t> rows(stream, {0, 1}), count(stream, {2}), column(stream, {0, 0});
  DeviceArray<std::int64_t> first(stream, {0, 0}), price(stream, {0, 0, 0});
  DeviceArray<std::uint64_t> bids(stream, {0, 0, 0});
  DeviceArray<float> costs(stream, {0, 0, 0, 0, 0, 0});
  const AuctionRows to{rows.vector(), count.vector(), column.vector(), first.vector(), first.vector()};
  EXPECT_THROW(auction_bid(stream, {rows.vector(), count.vector(), column.vector(), first.vector(), first.vector(), 0,
                                    bids.vector()}),
               InputError);
  EXPECT_THROW(auction_scan_stored(stream, {costs.matrix(3, 2), 1, price.vector(), to}), InputError);
  EXPECT_THROW(auction_scan_points(stream, {costs.matrix(2, 3), costs.matrix(3, 2), 1, price.vector(), to}),
               InputError);
  EXPECT_THROW(
      auction_list(stream, {rows.vector(), price.vector().rank == 1 ? column.vector() : rows.vector(), rows.vector()}),
      InputError);
}

}  // namespace
}  // namespace otnfm
