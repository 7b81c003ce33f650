// What a matrix of whole numbers spans: solvers take its least off, and choose the type that they compute in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>

#include "ot/cost.h"
#include "ot/costs/fill_rows.h"

namespace otnfm {

struct IntegerRange {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  std::int64_t greatest = std::numeric_limits<std::int64_t>::min();
  __int128 width() const { return static_cast<__int128>(greatest) - least; }
};

/// body(T{}) for the type T of whole costs.
template <class Body>
auto with_integer(DType dtype, const Body& body) {
  return dtype == DType::int32 ? body(std::int32_t{}) : body(std::int64_t{});
}

/// Of a matrix of int32 or int64 with at least one entry. Throws SolveStopped once the limits are reached.
inline IntegerRange range_of_integers(const AnyMatrix& costs, const SolveLimits& limits) {
  IntegerRange range;
  std::mutex merging;
  with_integer(costs.dtype, [&](auto element) {
    using T = decltype(element);
    fill_rows(costs.rows, costs.columns, limits, [&](std::int64_t first, std::int64_t count) {
      T least = std::numeric_limits<T>::max(), greatest = std::numeric_limits<T>::min();
      for (std::int64_t i = first; i < first + count; ++i) {
        const T* row = static_cast<const T*>(costs.data) + i * costs.row_stride;
        for (std::int64_t j = 0; j < costs.columns; ++j) {
          least = std::min(least, row[j]);
          greatest = std::max(greatest, row[j]);
        }
      }
      const std::scoped_lock lock(merging);
      range.least = std::min<std::int64_t>(range.least, least);
      range.greatest = std::max<std::int64_t>(range.greatest, greatest);
    });
  });
  return range;
}

}  // namespace otnfm
