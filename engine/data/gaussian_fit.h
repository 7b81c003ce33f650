// The normal distribution with the data's mean and covariance, as a source of noise (`--source gaussian-fit`).
//     x = mean + sum_k z_k factor_k + diagonal * z',   z and z' standard normal
// d <= 1024: factor_k = sqrt(lambda_k) v_k over the eigenvectors of the covariance, no diagonal. Above: the 256 largest
// by subspace iteration (Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53, 2011,
// algorithm 4.4), and diagonal_j^2 = what is missing of coordinate j's variance, so that every variance, and the trace,
// is the data's.
//
// Cost of a fit of n rows: 2 n d^2 FLOPs of GEMM (74e9 for MNIST) and one eigendecomposition of d x d; above d = 1024
// ten passes of 2 n d 288. Cost of a draw: 2 d (number of factors) FLOPs a row.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/data/draw_key.h"
#include "kernels/host/packed_linear.h"
#include "kernels/view.h"

namespace otnfm {

/// What a fit consists of, to be kept in a model file.
struct GaussianParameters {
  std::vector<float> mean;      ///< [d]
  std::vector<float> factor;    ///< [rank, d]
  std::vector<float> diagonal;  ///< [d], or empty

  std::int64_t dimension() const { return static_cast<std::int64_t>(mean.size()); }
  std::int64_t rank() const { return mean.empty() ? 0 : static_cast<std::int64_t>(factor.size() / mean.size()); }
};

struct GaussianFitOptions {
  std::int64_t max_full_dimension = 1024;  ///< up to here the whole covariance is decomposed
  std::int64_t rank = 256;                 ///< factors above
  int iterations = 2;                      ///< subspace iterations above
};

/// Rows that are not all in memory as numbers.
struct RowReader {
  std::int64_t rows = 0, columns = 0;
  /// Writes rows first, first + 1, ... to out [B, columns]. Called for the same rows several times.
  std::function<void(std::int64_t first, View<float> out)> copy;
};

/// Mean and covariance (divided by n) of rows [n, d], n >= 1. Deterministic. InputError for an empty matrix.
GaussianParameters fit_gaussian(View<const float> rows, const GaussianFitOptions& options = {});
GaussianParameters fit_gaussian(const RowReader& rows, const GaussianFitOptions& options = {});

class GaussianFit {
 public:
  /// InputError where the sizes disagree or a number is not finite.
  explicit GaussianFit(GaussianParameters parameters);

  const GaussianParameters& parameters() const { return parameters_; }
  std::int64_t dimension() const { return parameters_.dimension(); }

  /// Row i of out [B, d] is a function of (seed, stream, step, first_row + i) alone, bit for bit.
  void draw(const DrawKey& key, View<float> out) const;
  /// The same with memory of the caller's, so that nothing is allocated: z [at least 1, noise_width()], contiguous, is
  /// overwritten.
  void draw(Stream& stream, const DrawKey& key, View<float> out, View<float> z) const;
  std::int64_t noise_width() const {
    return parameters_.rank() + static_cast<std::int64_t>(parameters_.diagonal.size());
  }
  /// Row i of out is row rows(i) of that sequence.
  void draw_rows(const DrawKey& key, View<const std::int64_t> rows, View<float> out) const;

 private:
  template <class FillNoise>
  void draw_with(const FillNoise& fill_noise, View<float> out, View<float> z) const;
  View<float> noise_memory(std::vector<float>& memory, std::int64_t rows) const;

  GaussianParameters parameters_;
  PackedProduct product_;
};

}  // namespace otnfm
