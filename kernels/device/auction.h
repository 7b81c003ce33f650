// The numbers of an auction on a device. Costs are float32, prices are whole: a cost counts as round(cost * scale), an
// int32, and prices are sums of those in int64. So a price never stalls, as a float32 one does once epsilon is below
// its last place; sums are exact, and the outcome does not depend on the order in which bids arrive.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/device/host_device.h"
#include "kernels/device/math.h"

namespace otnfm {

/// Saturates at the ends of int32; NaN is 0.
OTNFM_HD std::int32_t whole_cost(float cost, float scale) {
  const float scaled = mul_rn(cost, scale);
#if OTNFM_ON_GPU
  return __float2int_rn(scaled);
#else
  if (!(scaled == scaled)) return 0;
  if (scaled >= 2147483648.0f) return std::numeric_limits<std::int32_t>::max();
  if (scaled <= -2147483648.0f) return std::numeric_limits<std::int32_t>::min();
  return static_cast<std::int32_t>(__builtin_nearbyintf(scaled));
#endif
}

/// Where there is no first or second column.
inline constexpr std::int64_t kNoValue = std::numeric_limits<std::int64_t>::max();

/// The two least values of a row, and the column of the least: of equal ones the lowest.
struct TwoLeast {
  std::int64_t first = kNoValue, second = kNoValue;
  std::int32_t column = -1;
  std::int32_t filler = 0;  // so that no byte is undefined

  /// Columns come in rising order.
  OTNFM_HD void offer(std::int64_t value, std::int32_t at) {
    const bool less = value < first;
    const std::int64_t larger = less ? first : value;
    second = larger < second ? larger : second;
    column = less ? at : column;
    first = less ? value : first;
  }
};

/// Of two sets of columns without a common one.
struct MergeTwoLeast {
  OTNFM_HD TwoLeast operator()(const TwoLeast& a, const TwoLeast& b) const {
    const bool b_first =
        b.first < a.first || (b.first == a.first && b.column >= 0 && (a.column < 0 || b.column < a.column));
    const std::int64_t least_second = a.second < b.second ? a.second : b.second;
    const std::int64_t larger_first = b_first ? a.first : b.first;
    TwoLeast merged;
    merged.first = b_first ? b.first : a.first;
    merged.column = b_first ? b.column : a.column;
    merged.second = larger_first < least_second ? larger_first : least_second;
    return merged;
  }
};

/// Of a list's least values and the least value beyond it: whether they are those of all columns, and the first column
/// the only one of its value. (Nothing is below kNoList.)
OTNFM_HD bool list_decides(const TwoLeast& least, std::int64_t beyond) {
  return least.first < beyond && least.second <= beyond;
}

/// |x - y|^2 in the order of the dimensions, each step rounded once: the same on every backend.
OTNFM_HD float squared_distance_in_order(const float* x, const float* y, std::int64_t d) {
  float sum = 0;
  for (std::int64_t k = 0; k < d; ++k) {
    const float difference = x[k] - y[k];
    sum = fma_rn(difference, difference, sum);
  }
  return sum;
}

// A bid as one word, so that one atomic maximum finds the highest, of equal ones that of the lowest row: the raise of
// the price in the upper 33 bits, the row's complement in the lower 31. 0 is no bid. A raise that does not fit is cut
// off: any raise of epsilon or more keeps the auction right.
inline constexpr int kBidRowBits = 31;
inline constexpr std::uint64_t kMostRaise = (std::uint64_t{1} << (64 - kBidRowBits)) - 1;
inline constexpr std::uint64_t kBidRows = (std::uint64_t{1} << kBidRowBits) - 1;

OTNFM_HD std::uint64_t pack_bid(std::int64_t first, std::int64_t second, std::int64_t epsilon, std::int32_t row) {
  const std::uint64_t difference =
      second == kNoValue ? 0 : static_cast<std::uint64_t>(second) - static_cast<std::uint64_t>(first);
  const std::uint64_t wanted = difference < kMostRaise ? difference + static_cast<std::uint64_t>(epsilon) : kMostRaise;
  const std::uint64_t raise = wanted < kMostRaise ? wanted : kMostRaise;
  return raise << kBidRowBits | (kBidRows - static_cast<std::uint64_t>(row));
}
OTNFM_HD std::int64_t raise_of(std::uint64_t bid) {
  return static_cast<std::int64_t>(bid >> kBidRowBits);
}
OTNFM_HD std::int32_t row_of(std::uint64_t bid) {
  return static_cast<std::int32_t>(kBidRows - (bid & kBidRows));
}

}  // namespace otnfm
