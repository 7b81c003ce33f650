// The auction over a stored matrix. A bid reads one row, 4 m or 8 m bytes, in one vector pass: up to some thousand
// columns that is less than it takes to keep a list of the near ones. float32 halves the bytes, and is enough while
// the gap asked for is well above its rounding, which bounds() tells.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/matching/epsilon_scaling.h"

namespace otnfm {

/// T is float or double.
template <class T>
class DenseAuction : public AuctionPhases {
 public:
  /// Rows [n] against columns [m], n <= m, `costs` row-major [n, m]; nothing matched, potentials g [m]. `threads` as in
  /// the solvers' options.
  void reset(const T* costs, std::int64_t n, std::int64_t m, std::span<const double> g, int threads);

  std::int64_t rows() const override { return n_; }
  std::int64_t columns() const override { return m_; }
  void auction(double epsilon, const SolveLimits& limits, std::int64_t most_bids) override;
  /// Sets f. The rows are summed in order, so the figure does not depend on the number of threads.
  AuctionBounds bounds(const SolveLimits& limits) override;
  std::int64_t bids() const override { return bids_; }

  /// A first epsilon: the median over some rows of the difference between the 40th and the least reduced cost.
  double spread() const;

  std::span<T> g() { return g_; }                                         ///< [m]
  std::span<const T> f() const { return f_; }                             ///< [n], of the last bounds()
  std::span<const std::int32_t> column_of() const { return column_of_; }  ///< [n], -1 where free

 private:
  const T* row(std::int64_t i) const { return costs_ + i * m_; }
  T matched_cost(std::int64_t i) const { return row(i)[column_of_[static_cast<std::size_t>(i)]]; }

  const T* costs_ = nullptr;
  std::int64_t n_ = 0, m_ = 0, bids_ = 0;
  int threads_ = 0;
  bool f_is_current_ = false;
  HostVector<T> f_, g_;
  HostVector<std::int32_t> column_of_, row_of_, queue_;
};

extern template class DenseAuction<float>;
extern template class DenseAuction<double>;

}  // namespace otnfm
