// The costs of a problem as Sinkhorn reads them: exponents K_ij in base 2, float32, with
//     C_ij = alpha_i + beta_j - K_ij epsilon / log2(e),      alpha, beta in double,
// so that exp((f_i + g_j - C_ij) / epsilon) = 2^(u_i + v_j + K_ij) with u = (f - alpha) log2(e) / epsilon, v likewise.
//
// What depends on i or j alone goes into alpha and beta. For squared Euclidean and negative dot product of points that
// leaves K = scale (x - mean x) . (y - mean y): one matrix product, 2 n m d FLOPs, each cloud centred on its own, so
// that the precision does not depend on where the clouds are. Other costs come from double rows (ot/costs/cost_rows.h).
//
// absorb(f, g) makes K = -(C - f - g) in double before it is rounded: the entries that carry mass are then near 0, and
// float32 holds them at any epsilon. It costs n m d operations in double, and is needed where epsilon is so small that
// an ulp of u, v and K is a part of an exponent.
//
// Rows have a stride of a multiple of 16 floats, one page of padding is never read as anything but numbers. n m floats
// are kept while they fit in `most_bytes`; else blocks of rows are computed anew in every pass.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "kernels/memory.h"
#include "ot/cost.h"
#include "ot/costs/cost_rows.h"
#include "ot/costs/panels.h"
#include "ot/solve_limits.h"

namespace otnfm {

inline constexpr double kLog2E = 1.44269504088896340736;

class GibbsExponents {
 public:
  /// Takes the problem over at this epsilon; memory of an earlier one is reused. The views must stay valid. Where
  /// `limits` are given and overdue, it throws SolveStopped, as all that computes exponents here does: then only
  /// reset() may follow.
  void reset(const Problem& problem, double epsilon, std::int64_t most_bytes, const SolveLimits* limits = nullptr);

  /// alpha = f, beta = g from here on.
  void absorb(std::span<const double> f, std::span<const double> g, const SolveLimits* limits = nullptr);

  std::int64_t rows() const { return n_; }
  std::int64_t columns() const { return m_; }
  std::int64_t stride() const { return stride_; }
  double epsilon() const { return epsilon_; }
  bool stored() const { return block_rows_ >= n_; }
  /// Whether K = x'.y' of centred, scaled points, which are these: [n, d] and [m, d].
  bool is_product() const { return product_; }
  std::span<const float> centred_source() const { return source_; }
  std::span<const float> centred_target() const { return target_; }
  std::span<const double> alpha() const { return alpha_; }
  std::span<const double> beta() const { return beta_; }

  /// Exponents a unit of cost: C_ij = alpha_i + beta_j - K_ij / scale, to error(i).
  double scale() const { return scale_; }
  /// K_i. [m], where stored.
  const float* row(std::int64_t i) const { return values() + i * stride_; }
  /// A bound on the error of C_ij as above for every j, beside the relative rounding 2^-24 of K_ij itself.
  double error(std::int64_t i) const;

  /// body(first_row, count, K) over blocks of rows in order; K has the rows first_row .. first_row + count. All blocks
  /// but the last have a multiple of `multiple` rows.
  template <class Body>
  void for_blocks(std::int64_t multiple, const Body& body, const SolveLimits* limits = nullptr) {
    if (stored()) return body(std::int64_t{0}, n_, static_cast<const float*>(values()));
    const std::int64_t step = (block_rows_ + multiple - 1) / multiple * multiple;
    reserve(step);
    for (std::int64_t first = 0; first < n_; first += step) {
      const std::int64_t count = step < n_ - first ? step : n_ - first;
      fill(first, count, limits);
      body(first, count, static_cast<const float*>(values()));
    }
  }

 private:
  float* values() const { return reinterpret_cast<float*>(memory_.data()); }
  void reserve(std::int64_t rows);
  void centre();
  void fill(std::int64_t first, std::int64_t count, const SolveLimits* limits);
  void multiply(std::int64_t first, std::int64_t count, const SolveLimits* limits);
  void fill_from_rows(std::int64_t first, std::int64_t count, const SolveLimits* limits);

  Problem problem_;
  std::int64_t n_ = 0, m_ = 0, stride_ = 0, block_rows_ = 0;
  double epsilon_ = 0, scale_ = 0;  // scale: log2(e) / epsilon
  bool product_ = false;            // K is a product of centred points
  HostVector<double> alpha_, beta_;
  HostVector<double> source_norm_;                                  // [n] |x'_i|, where K is a product
  double target_norm_ = 0, mean_norm_[2] = {}, mean_distance_ = 0;  // max |y'_j|, |p|, |q| and |p - q|
  HostVector<float> source_, target_;                               // [n, d], [m, d], centred and scaled
  bool packed_ = false;
  Panels panels_;  // of target_
  CostRows costs_;
  Memory memory_;
};

}  // namespace otnfm
