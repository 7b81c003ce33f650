// Rounds of an auction's tail: prices rise, and rows that keep lists must find what a whole scan finds, to the last
// bit.
#include "kernels/auction_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

using Random = std::mt19937_64;

struct Rounds {
  std::vector<std::int32_t> columns;  // the lists, after the last round
  std::vector<std::int64_t> beyond;
  int decided = 0, renewed = 0;  // scans by the list alone, and whole ones
};

Rounds run_rounds(Device device, bool stored, std::int64_t n, std::int64_t m, std::int64_t d, std::uint64_t seed) {
  Random random(seed);
  const auto whole = [&](std::int64_t count, int below) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = static_cast<float>(random() % static_cast<unsigned>(below));
    return values;
  };
  Stream stream(device);
  const DeviceArray<float> costs(stream, whole(n * m, 500)), x(stream, whole(n * d, 12)), y(stream, whole(m * d, 12));
  const auto size = static_cast<std::size_t>(n);
  DeviceArray<std::int32_t> columns(stream, std::vector<std::int32_t>(size * kAuctionListLength, 123456789));
  DeviceArray<std::int64_t> beyond(stream, std::vector<std::int64_t>(size, kNoList));
  std::vector<std::int64_t> price(static_cast<std::size_t>(m), 0);
  Rounds rounds;
  for (int round = 0; round < 80; ++round) {
    std::vector<std::int32_t> some(size);
    for (std::size_t i = 0; i < size; ++i) some[i] = static_cast<std::int32_t>(i);
    std::shuffle(some.begin(), some.end(), random);
    const auto count = static_cast<std::int32_t>(random() % (size + 1));
    const DeviceArray<std::int32_t> rows(stream, some), counts(stream, {count});
    const DeviceArray<std::int64_t> prices(stream, price);
    DeviceArray<std::int32_t> column(stream, std::vector<std::int32_t>(size, -7)), other(stream, column.values());
    DeviceArray<std::int64_t> first(stream, std::vector<std::int64_t>(size, -7)), second(stream, first.values()),
        other_first(stream, first.values()), other_second(stream, first.values());
    const AuctionRows to{rows.vector(), counts.vector(), column.vector(), first.vector(), second.vector()},
        expected{rows.vector(), counts.vector(), other.vector(), other_first.vector(), other_second.vector()};
    const std::vector<std::int64_t> beyond_before = beyond.values();
    const std::vector<std::int32_t> columns_before = columns.values();
    const AuctionLists lists{columns.matrix(n, kAuctionListLength), beyond.vector()};
    if (stored) {
      auction_rescan_stored(stream, {costs.matrix(n, m), 1, prices.vector(), lists, to});
      auction_scan_stored(stream, {costs.matrix(n, m), 1, prices.vector(), expected});
    } else {
      auction_rescan_points(stream, {x.matrix(n, d), y.matrix(m, d), 1, prices.vector(), lists, to});
      auction_scan_points(stream, {x.matrix(n, d), y.matrix(m, d), 1, prices.vector(), expected});
    }
    EXPECT_EQ(column.values(), other.values());
    EXPECT_EQ(first.values(), other_first.values());
    EXPECT_EQ(second.values(), other_second.values());
    const std::vector<std::int64_t> beyond_after = beyond.values();
    const std::vector<std::int32_t> columns_after = columns.values();
    for (std::int32_t slot = 0; slot < count; ++slot) {
      const auto i = static_cast<std::size_t>(some[static_cast<std::size_t>(slot)]);
      const auto list = static_cast<std::ptrdiff_t>(i * kAuctionListLength);
      const bool same = beyond_before[i] == beyond_after[i] &&
                        std::equal(columns_before.begin() + list, columns_before.begin() + list + kAuctionListLength,
                                   columns_after.begin() + list);
      ++(same ? rounds.decided : rounds.renewed);
    }
    // The columns that are wanted rise most, as in an auction.
    const std::vector<std::int32_t> wanted = column.values();
    for (std::int32_t slot = 0; slot < count; ++slot)
      if (const std::int32_t j = wanted[static_cast<std::size_t>(slot)]; j >= 0)
        price[static_cast<std::size_t>(j)] += static_cast<std::int64_t>(random() % 120);
    for (std::int64_t& p : price) p += static_cast<std::int64_t>(random() % 3);
  }
  rounds.columns = columns.values();
  rounds.beyond = beyond.values();
  return rounds;
}

TEST(AuctionLists, FindWhatAWholeScanFinds) {
  std::random_device fresh;
  for (const bool stored : {true, false})
    for (const auto& [n, m, d] : {std::tuple{1, 1, 1}, {3, 2, 1}, {9, 33, 2}, {20, 150, 3}, {6, 400, 20}}) {
      const std::uint64_t seed = fresh();
      SCOPED_TRACE("seed " + std::to_string(seed) + ", m " + std::to_string(m) + (stored ? ", stored" : ""));
      std::vector<Rounds> all;
      for (const Device device : devices_at_hand()) all.push_back(run_rounds(device, stored, n, m, d, seed));
      for (const Rounds& rounds : all) {
        EXPECT_EQ(rounds.columns, all[0].columns);
        EXPECT_EQ(rounds.beyond, all[0].beyond);
        if (n >= 6) {
          EXPECT_GT(rounds.decided, 0);
          EXPECT_GT(rounds.renewed, n);
        }
      }
    }
}

}  // namespace
}  // namespace otnfm
