#include "kernels/auction_lists.h"

#include <limits>

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check_rows(const char* op, const AuctionRows& to, const AuctionLists& lists, const View<const std::int64_t>& price,
                std::int64_t n, std::int64_t m) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  require(n < kMost && m < kMost, op, "there may be fewer than 2^31 rows and columns",
          std::to_string(n) + " x " + std::to_string(m));
  require(to.rows.rank == 1, op, "rows must be a vector", describe(to.rows));
  const std::int64_t k = to.rows.shape[0];
  require_vector(op, "rows", to.rows, k);
  require_vector(op, "count", to.count, 1);
  require_vector(op, "column", to.column, k);
  require_vector(op, "first", to.first, k);
  require_vector(op, "second", to.second, k);
  require_vector(op, "price", price, m);
  require_matrix(op, "columns", lists.columns, n, kAuctionListLength);
  require_vector(op, "beyond", lists.beyond, n);
}

void check(const AuctionRescanPoints& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.x.columns());
  check_rows(a.kName, a.to, a.lists, a.price, a.x.rows(), a.y.rows());
}

void check(const AuctionRescanStored& a) {
  require(a.costs.rank == 2, a.kName, "costs must be a matrix", describe(a.costs));
  require_matrix(a.kName, "costs", a.costs, a.costs.rows(), a.costs.columns());
  check_rows(a.kName, a.to, a.lists, a.price, a.costs.rows(), a.costs.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(auction_rescan_points, AuctionRescanPoints);
OTNFM_DISPATCH_OP(auction_rescan_stored, AuctionRescanStored);

}  // namespace otnfm
