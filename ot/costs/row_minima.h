// The certificate's pass over all pairs: min_j (C_ij - g_j) of every row, in double. Differences, not the expanded
// square.
//
// Points in few dimensions: 4 rows by 8 or 32 columns at a time in registers, 2 n m d operations, see
// ot/loops/pair_costs.h.
//
// Squared distances and dot products in more dimensions: a product in float32 (2 n m d FLOPs at some four times the
// speed) with a bound on its error says which columns may attain a row's minimum, and only those are computed in
// double: one to three of them where g are good potentials. The bound holds for each pair (its norms are in it, not the
// clouds' largest), whatever g and the scale of the data are; a row for which it leaves more columns than kMostNear
// takes all of them in double. So the minima are those of the plain pass, to the rounding of a double sum.
//
// What the bound is made of, with x~ = x - c, y~ = y - c in exact arithmetic (c any vector: the mean of the targets)
// and x', y' the same in float32, scaled by a power of two s so that no coordinate is above 1:
//     |x - y|^2 - g = |x~|^2 + (|y~|^2 - g) - 2 x~.y~          -x.y - g = (...) + (-c.y~ - g) - x~.y~
// The first term is the row's and moves no minimum. The middle one is computed in double and rounded to float32:
// `bias`. Rounding x~ and y~ moves the product by 2 u |x~||y~| and its d fused multiply-adds by d u |x'||y'|, u = 2^-24
// (Higham, Accuracy and Stability of Numerical Algorithms, 3.1); the last sum by u times its value, at most u (|bias| +
// 2 |x'||y'|). In double there remain d 2^-52 times the terms of the middle one. What underflows is below 2^-149 a
// term.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "kernels/host_vector.h"
#include "ot/cost.h"

namespace otnfm {

class RowMinima {
 public:
  static constexpr std::int64_t kTile = 128;  ///< rows that are worked on together

  /// Column potentials g [m] without a NaN; g_j = -infinity leaves column j out of the minima. The views and g must
  /// stay valid. Takes (n + m) d floats or doubles.
  RowMinima(const Problem& problem, std::span<const double> g);

  /// What a thread needs beside; any number of calls may reuse it.
  struct Scratch {
    std::function<bool()> stop;  ///< asked every few milliseconds, if given: true ends the search
    double largest = 0;  ///< of the last search: max |C_ij| that is finite over its rows and all columns; where the
                         ///< product serves to 1e-3

    HostVector<float> rows, products;  // [kTile, d], [kTile, columns of a segment]
    HostVector<double> x, y, block;    // [kTile, d], [d], [d, kPairColumns]
    HostVector<std::int32_t> near;     // [kTile, kMostNear]
    HostVector<float> low;             // likewise
  };

  /// out[i - begin] = min_j (C_ij - g_j), infinity over no columns, for the rows [begin, end), in any thread. False
  /// where it was stopped; then `out` is not complete.
  bool find(std::int64_t begin, std::int64_t end, double* out, Scratch& scratch) const;

  /// Whether the float32 product serves.
  bool screens() const { return scale_ > 0; }

 private:
  template <class T>
  void prepare_screen();
  template <class T>
  bool find_in_points(std::int64_t begin, std::int64_t count, Scratch& scratch, double* out) const;
  template <class T>
  bool screen_rows(std::int64_t begin, std::int64_t count, Scratch& scratch, double* out) const;
  template <class T>
  bool scan_rows(const std::int64_t* rows, std::int64_t count, Scratch& scratch, double* out) const;

  Problem problem_;
  std::span<const double> g_;
  double scale_ = 0;                                // s; 0 where there is no screen
  HostVector<double> centre_;                       // [d]
  HostVector<float> panels_;                        // [ceil(m / 16)][d][16]: y'
  HostVector<float> bias_, cost_, target_, slack_;  // [m, up to 16]: see Loops::Screen
};

}  // namespace otnfm
