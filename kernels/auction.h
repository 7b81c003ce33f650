// The steps of a Jacobi auction (Bertsekas 1979): rows bid all at once for the column of least cost + price, each
// column goes to its highest bid. A round is scan, bid, assign, list. Costs count as whole numbers and prices are int64
// (kernels/device/auction.h), so every step is exact and the same on every backend.
//
// Rows without a column are listed on the device, and their number is kept there: `count` [1] says how many entries of
// `rows` [k] are valid; nothing is done for the others. Within a phase of an auction the count never rises, so the host
// may read it now and then and pass shorter views.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// The listed rows' two least values of cost + price.
struct AuctionRows {
  View<const std::int32_t> rows;   // [k], each in [0, n)
  View<const std::int32_t> count;  // [1], at most k
  View<std::int32_t> column;       // [k]: of the least, the lowest of equal ones; -1 where m = 0
  View<std::int64_t> first;        // [k]
  View<std::int64_t> second;       // [k]: kNoValue where m < 2
};

/// The cost |x_i - y_j|^2, as a sum of squared differences in the order of the dimensions.
struct AuctionScanPoints {
  static constexpr const char* kName = "auction_scan_points";
  View<const float> x;             // [n, d]
  View<const float> y;             // [m, d], m < 2^31
  float scale = 1;                 // a cost counts as round(cost * scale), saturated to int32
  View<const std::int64_t> price;  // [m]
  AuctionRows to;
};
OTNFM_DECLARE_OP(auction_scan_points, AuctionScanPoints);

struct AuctionScanStored {
  static constexpr const char* kName = "auction_scan_stored";
  View<const float> costs;  // [n, m]
  float scale = 1;
  View<const std::int64_t> price;  // [m]
  AuctionRows to;
};
OTNFM_DECLARE_OP(auction_scan_stored, AuctionScanStored);

/// Each listed row offers its column a raise of second - first + epsilon.
struct AuctionBid {
  static constexpr const char* kName = "auction_bid";
  View<const std::int32_t> rows, count, column;  // [k], [1], [k]: as scanned
  View<const std::int64_t> first, second;        // [k]
  std::int64_t epsilon = 1;                      // at least 1
  View<std::uint64_t> bids;                      // [m]: the highest; to be zeros before
};
OTNFM_DECLARE_OP(auction_bid, AuctionBid);

/// Columns with a bid go to it: their price rises, their former row has none. Clears the bids.
struct AuctionAssign {
  static constexpr const char* kName = "auction_assign";
  View<std::uint64_t> bids;      // [m]
  View<std::int64_t> price;      // [m]
  View<std::int32_t> owner;      // [m]: a column's row or -1
  View<std::int32_t> column_of;  // [n]: a row's column or -1
};
OTNFM_DECLARE_OP(auction_assign, AuctionAssign);

/// The rows without a column, in order.
struct AuctionList {
  static constexpr const char* kName = "auction_list";
  View<const std::int32_t> column_of;  // [n]
  View<std::int32_t> rows;             // [n]: the first `count` of them; the others are left as they are
  View<std::int32_t> count;            // [1]
};
OTNFM_DECLARE_OP(auction_list, AuctionList);

/// What each row's own column is worth to it, value_i = cost + price, 0 without one; a row whose value is more than
/// epsilon above its least gives its column up.
struct AuctionCheck {
  View<const std::int64_t> price;  // [m]
  View<const std::int64_t> first;  // [n]: of all rows, at these prices
  std::int64_t epsilon = 0;
  View<std::int32_t> column_of;  // [n]
  View<std::int32_t> owner;      // [m]
  View<std::int64_t> value;      // [n]
};

struct AuctionCheckPoints {
  static constexpr const char* kName = "auction_check_points";
  View<const float> x, y;  // [n, d], [m, d]
  float scale = 1;
  AuctionCheck to;
};
OTNFM_DECLARE_OP(auction_check_points, AuctionCheckPoints);

struct AuctionCheckStored {
  static constexpr const char* kName = "auction_check_stored";
  View<const float> costs;  // [n, m]
  float scale = 1;
  AuctionCheck to;
};
OTNFM_DECLARE_OP(auction_check_stored, AuctionCheckStored);

}  // namespace otnfm
