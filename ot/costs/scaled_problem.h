// Costs of any size. The solvers' arithmetic, of which parts are float32, holds costs from 2^-100 to 2^100; a problem
// whose largest cost lies outside is solved in a copy whose entries are multiplied by a power of two, which rounds
// nothing, and its answer is multiplied back. The largest cost comes near 1; above it where costs of a matrix are so
// far apart that the least would fall below double's range (what coordinates lose there, 2^-500 and less of the
// largest, is lost).
#pragma once

#include <cmath>
#include <span>
#include <string>

#include "kernels/memory.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// A bound on the size of a problem's finite costs, and what it comes from. Within a factor of 2 of the largest in a
/// matrix of reals, of 32 d for distances (2 for each rounding of a span, or its square, and of d to a power of two;
/// the farthest pair of two clouds is at least half of what they span together). 2^64 for a matrix of integers. Dot
/// products may be far below where their terms cancel.
struct CostSize {
  int exponent = 0;        ///< every |C_ij| < 2^exponent
  bool zero = true;        ///< all costs are 0, or there are none; `exponent` says nothing
  int least_exponent = 0;  ///< of the least cost of a matrix of reals that is not 0, likewise
  std::string largest;     ///< of the entry of the largest size: "source holds 1e+200 at [3, 1]"
};
/// Throws SolveStopped where `limits` (null: none) are overdue.
CostSize cost_size(const Problem& problem, const SolveLimits* limits = nullptr);

class ScaledProblem {
 public:
  /// Takes the problem over: itself where its costs are of a middling size, else a float64 copy. Throws InputError that
  /// names the largest entry where a cost, or a potential of four times its size, would exceed double. Entries that
  /// are not finite are left alone. Throws SolveStopped where `limits` (null: none) are overdue: then it holds the
  /// problem as it was given.
  void reset(const Problem& problem, const SolveLimits* limits = nullptr);

  /// The views of it stay valid until the next reset(), and while the problem given does.
  const Problem& problem() const { return problem_; }
  bool scaled() const { return exponent_ != 0; }
  /// Whether costs of problem() are beyond 2^100 all the same: no solver in float32 takes it.
  bool wide() const { return wide_; }

  /// A cost or a potential of problem(), in the units of the problem given: times a power of two.
  double back(double value) const { return scaled() ? std::ldexp(value, exponent_) : value; }
  void back(std::span<double> values) const;
  /// The other way.
  double forth(double value) const { return scaled() ? std::ldexp(value, -exponent_) : value; }

 private:
  Problem problem_;
  int exponent_ = 0;
  bool wide_ = false;
  Memory first_, second_;
};

}  // namespace otnfm
