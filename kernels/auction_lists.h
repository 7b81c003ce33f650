// The scan of an auction (kernels/auction.h) for its tail, where few rows are free and each is scanned again and again:
// a row keeps its 32 least columns and reads those alone while they decide.
//
// Prices only rise. So once a row was scanned whole, none of the columns beyond its list can cost it less than the
// least of them did then, `beyond`; while the list's second value is not above that, and its first is below, both are
// those of a whole scan. Otherwise the row is scanned whole, and its list is made anew. The result is that of
// auction_scan, to the last bit.
#pragma once

#include "kernels/auction.h"

namespace otnfm {

inline constexpr std::int64_t kAuctionListLength = 32;
/// beyond[i] of a row that has no list yet, or whose prices may have fallen.
inline constexpr std::int64_t kNoList = INT64_MIN;

struct AuctionLists {
  View<std::int32_t> columns;  // [n, 32]: by rising value, of equal ones the lowest column first; -1 behind the last
  View<std::int64_t> beyond;   // [n]: no other column's value has ever been below
};

/// No row is listed twice.
struct AuctionRescanPoints {
  static constexpr const char* kName = "auction_rescan_points";
  View<const float> x;             // [n, d]
  View<const float> y;             // [m, d], m < 2^31
  float scale = 1;                 // as in AuctionScanPoints
  View<const std::int64_t> price;  // [m]
  AuctionLists lists;
  AuctionRows to;
};
OTNFM_DECLARE_OP(auction_rescan_points, AuctionRescanPoints);

struct AuctionRescanStored {
  static constexpr const char* kName = "auction_rescan_stored";
  View<const float> costs;  // [n, m]
  float scale = 1;
  View<const std::int64_t> price;  // [m]
  AuctionLists lists;
  AuctionRows to;
};
OTNFM_DECLARE_OP(auction_rescan_stored, AuctionRescanStored);

}  // namespace otnfm
