// The auction on a stream's device: all free rows bid at once (Jacobi), with whole-number prices (kernels/auction.h),
// in phases of falling epsilon. Launches follow one another without waiting; how many rows are free is read every few
// rounds. A round costs about the same however few rows are free, so the last few of a phase may be left to shortest
// augmenting paths on the host.
//
//   matrices, and points in more than 16 dimensions while n m float32 fit   costs stored: 4 n m bytes a full round
//   else                                                                    costs computed in each scan
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "kernels/stream.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

struct DeviceAuctionOptions {
  double max_gap = 1e-3;    ///< relative, as Certificate::gap
  bool certify = true;      ///< fill in Assignment::certificate: a pass over all pairs, on the host
  bool check_input = true;  ///< refuse NaN and infinite entries; without it they are undefined behaviour
  double max_seconds = std::numeric_limits<double>::infinity();
  std::int64_t max_iterations = std::numeric_limits<std::int64_t>::max();  ///< rounds on the device
  std::int64_t max_stored_bytes = std::int64_t{8} << 30;                   ///< of a cost matrix made from points
  SolveWatch watch = {};                    ///< of the solve and its proof, on the host too
  std::span<const double> warm_start = {};  ///< column potentials [m], any finite values
};

/// Whether the device's auction can take the problem; the host's (ot/auction.h) takes all.
bool device_auction_takes(const Problem& problem);

/// Solves a problem whose views are in host memory: n = m, float32 points of squared Euclidean cost or a float32
/// matrix. The potentials are feasible up to the rounding of float32 costs; sigma is within max_gap where the status is
/// converged, and with `certify` that is proved. Where float32 or whole numbers cannot resolve a gap that small, the
/// host's auction (ot/auction.h) goes on from the device's potentials. Throws InputError for another problem, NaN or
/// infinite entries, or bad options; RunError where memory does not suffice.
Assignment solve_auction(Stream& stream, const Problem& problem, const DeviceAuctionOptions& options = {});

}  // namespace otnfm
