#include "kernels/auction.h"

#include <limits>

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

void check_rows(const char* op, const AuctionRows& to) {
  require(to.rows.rank == 1, op, "rows must be a vector", describe(to.rows));
  const std::int64_t k = to.rows.shape[0];
  require_vector(op, "rows", to.rows, k);
  require_vector(op, "count", to.count, 1);
  require_vector(op, "column", to.column, k);
  require_vector(op, "first", to.first, k);
  require_vector(op, "second", to.second, k);
}

void check_sizes(const char* op, std::int64_t n, std::int64_t m, const std::string& got) {
  require(n < kMost && m < kMost, op, "there may be fewer than 2^31 rows and columns", got);
}

template <class Arguments>
void check_points(const Arguments& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.x.columns());
  check_sizes(a.kName, a.x.rows(), a.y.rows(), describe(a.x) + ", " + describe(a.y));
}

template <class Arguments>
void check_stored(const Arguments& a) {
  require(a.costs.rank == 2, a.kName, "costs must be a matrix", describe(a.costs));
  require_matrix(a.kName, "costs", a.costs, a.costs.rows(), a.costs.columns());
  check_sizes(a.kName, a.costs.rows(), a.costs.columns(), describe(a.costs));
}

void check_own(const char* op, const AuctionCheck& to, std::int64_t n, std::int64_t m) {
  require_vector(op, "price", to.price, m);
  require_vector(op, "first", to.first, n);
  require_vector(op, "column_of", to.column_of, n);
  require_vector(op, "owner", to.owner, m);
  require_vector(op, "value", to.value, n);
}

void check(const AuctionScanPoints& a) {
  check_points(a);
  require_vector(a.kName, "price", a.price, a.y.rows());
  check_rows(a.kName, a.to);
}

void check(const AuctionScanStored& a) {
  check_stored(a);
  require_vector(a.kName, "price", a.price, a.costs.columns());
  check_rows(a.kName, a.to);
}

void check(const AuctionBid& a) {
  require(a.rows.rank == 1, a.kName, "rows must be a vector", describe(a.rows));
  require(a.bids.rank == 1, a.kName, "bids must be a vector", describe(a.bids));
  const std::int64_t k = a.rows.shape[0];
  require_vector(a.kName, "rows", a.rows, k);
  require_vector(a.kName, "count", a.count, 1);
  require_vector(a.kName, "column", a.column, k);
  require_vector(a.kName, "first", a.first, k);
  require_vector(a.kName, "second", a.second, k);
  require_vector(a.kName, "bids", a.bids, a.bids.shape[0]);
  require(a.epsilon >= 1, a.kName, "epsilon must be at least 1", std::to_string(a.epsilon));
}

void check(const AuctionAssign& a) {
  require(a.bids.rank == 1, a.kName, "bids must be a vector", describe(a.bids));
  require(a.column_of.rank == 1, a.kName, "column_of must be a vector", describe(a.column_of));
  require_vector(a.kName, "bids", a.bids, a.bids.shape[0]);
  require_vector(a.kName, "price", a.price, a.bids.shape[0]);
  require_vector(a.kName, "owner", a.owner, a.bids.shape[0]);
  require_vector(a.kName, "column_of", a.column_of, a.column_of.shape[0]);
}

void check(const AuctionList& a) {
  require(a.column_of.rank == 1, a.kName, "column_of must be a vector", describe(a.column_of));
  require_vector(a.kName, "column_of", a.column_of, a.column_of.shape[0]);
  require_vector(a.kName, "rows", a.rows, a.column_of.shape[0]);
  require_vector(a.kName, "count", a.count, 1);
}

void check(const AuctionCheckPoints& a) {
  check_points(a);
  check_own(a.kName, a.to, a.x.rows(), a.y.rows());
}

void check(const AuctionCheckStored& a) {
  check_stored(a);
  check_own(a.kName, a.to, a.costs.rows(), a.costs.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(auction_scan_points, AuctionScanPoints);
OTNFM_DISPATCH_OP(auction_scan_stored, AuctionScanStored);
OTNFM_DISPATCH_OP(auction_bid, AuctionBid);
OTNFM_DISPATCH_OP(auction_assign, AuctionAssign);
OTNFM_DISPATCH_OP(auction_list, AuctionList);
OTNFM_DISPATCH_OP(auction_check_points, AuctionCheckPoints);
OTNFM_DISPATCH_OP(auction_check_stored, AuctionCheckStored);

}  // namespace otnfm
