// The exponents of a problem on a device, behind one call for both updates: from points or stored.
#pragma once

#include <span>

#include "kernels/host_vector.h"
#include "kernels/memory.h"
#include "kernels/soft_transform.h"
#include "ot/costs/gibbs_exponents.h"
#include "ot/device_sinkhorn.h"

namespace otnfm {

class DevicePlan {
 public:
  explicit DevicePlan(Stream& stream) : stream_(stream) {}

  /// Takes the problem over, at this epsilon; `regime` is not automatic. Resident: points by differences, s = -|x -
  /// y|^2. Throws SolveStopped where `limits` (null: none) are overdue.
  void reset(const Problem& problem, double epsilon, SinkhornRegime regime, const SolveLimits* limits = nullptr);

  // C_ij = alpha_i + beta_j - K_ij epsilon / log2(e), and K_ij = unit() s_ij with s of kernels/soft_transform.h.
  std::span<const double> alpha() const { return alpha_; }
  std::span<const double> beta() const { return beta_; }
  double unit() const { return unit_; }
  View<const float> x() const {
    return {reinterpret_cast<const float*>(source_.data()), {n_, d_}};
  }  ///< where streaming
  View<const float> y() const { return {reinterpret_cast<const float*>(target_.data()), {m_, d_}}; }
  double rounding() const { return rounding_; }  ///< of K, relative to 1, beyond float32's

  /// The update of the rows from the columns, or of the columns from the rows, with K multiplied by `ratio`.
  void transform(bool columns, double ratio, const SoftSource& source, const SoftTarget& target);

 private:
  float* device_floats() const { return reinterpret_cast<float*>(exponents_.data()); }
  void upload_points(std::span<const float> source, std::span<const float> target, std::int64_t d);
  void direct_points(const Problem& problem, double epsilon);
  void store(const SolveLimits* limits);
  void store_fixed(const SolveLimits* limits);

  Stream& stream_;
  GibbsExponents host_;
  SinkhornRegime regime_ = SinkhornRegime::streaming;
  PairForm form_ = PairForm::product;
  std::int64_t n_ = 0, m_ = 0, d_ = 0;
  double unit_ = 1, rounding_ = 0;
  HostVector<double> alpha_, beta_;
  Memory source_, target_, exponents_;
};

}  // namespace otnfm
