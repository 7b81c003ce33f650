// Two independent draws y, y' of a noise's partner have E |y - y'|^2 / 2 = tr Var[x1 | x0]. Of R batches every two
// share exactly one noise, at a row of its own, and everything else of them is drawn apart: given that noise its two
// partners are independent, so each of the R(R-1)/2 couples of batches is one unbiased sample, for R solves and not
// R(R-1). (Repeating many noises together would estimate the variance given all of them, which is smaller.) A batch has
// R - 1 shared rows, so R <= B + 1; small batches are repeated in groups until there are 1000 samples.
#include "engine/couplings/conditional_variance.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "engine/data/random_streams.h"
#include "kernels/biased_argmin.h"
#include "kernels/error.h"

namespace otnfm {

double minibatch_conditional_variance(const Source& source, const Dataset& target, std::int64_t batch,
                                      std::uint64_t seed, BatchSolver& solver) {
  constexpr std::int64_t kSamples = 1000, kMostBatches = 46, kMostPairs = 512, kMostWork = 1 << 20;
  const std::int64_t B = batch, d = target.dimension();
  if (B < 1) throw InputError("a batch of " + std::to_string(B) + " pairs: there must be at least 1");
  if (B > kMostPairs || B * B * d > kMostWork) return std::numeric_limits<double>::quiet_NaN();
  const std::int64_t R = std::min(B + 1, kMostBatches), couples = R * (R - 1) / 2;
  const std::int64_t groups = (kSamples + couples - 1) / couples;

  std::vector<float> x0(R * B * d), x1(R * B * d);
  std::vector<std::int64_t> sigma(R * B);
  // Batch r has the noise that it shares with batch s in this row.
  const auto shared_row = [&](std::int64_t r, std::int64_t s) { return r * B + (s < r ? s : s - 1); };
  double sum = 0;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::uint64_t step = static_cast<std::uint64_t>(group);
    source.draw({.seed = seed, .stream = kProbeSourceStream, .step = step}, {x0.data(), {R * B, d}});
    target.draw({.seed = seed, .stream = kProbeTargetStream, .step = step}, {x1.data(), {R * B, d}});
    for (std::int64_t r = 0; r < R; ++r)
      for (std::int64_t s = r + 1; s < R; ++s) std::copy_n(&x0[shared_row(r, s) * d], d, &x0[shared_row(s, r) * d]);
    solver.solve({x0.data(), {R, B, d}}, {x1.data(), {R, B, d}}, seed, step * static_cast<std::uint64_t>(R),
                 {sigma.data(), {R, B}});
    for (std::int64_t r = 0; r < R; ++r)
      for (std::int64_t s = r + 1; s < R; ++s) {
        const float* y = &x1[(r * B + sigma[shared_row(r, s)]) * d];
        const float* z = &x1[(s * B + sigma[shared_row(s, r)]) * d];
        for (std::int64_t k = 0; k < d; ++k) {
          const double difference = static_cast<double>(y[k]) - z[k];
          sum += difference * difference;
        }
      }
  }
  return sum / 2 / static_cast<double>(groups * couples);
}

double bank_conditional_variance(View<const float> x0, View<const float> x1, const Source& source, std::uint64_t seed) {
  constexpr std::int64_t kProbes = 2048, kMostDimensions = 4;
  const std::int64_t n = x0.rows(), d = x0.columns();
  if (d > kMostDimensions || n < 2) return std::numeric_limits<double>::quiet_NaN();
  std::vector<float> probes(kProbes * d), zeros(n / 2 + 1, 0.0f), value(kProbes);
  std::vector<std::int64_t> nearest[2];
  source.draw({.seed = seed, .stream = kProbeSourceStream}, {probes.data(), {kProbes, d}});
  for (std::int64_t half = 0; half < 2; ++half) {
    View<const float> rows(x0.data + half * d, {(n - half + 1) / 2, d});
    rows.stride[0] = 2 * d;
    nearest[half].resize(kProbes);
    biased_argmin(host_stream(), {.x = View<const float>(probes.data(), {kProbes, d}),
                                  .points = rows,
                                  .bias = View<const float>(zeros.data(), {rows.rows()}),
                                  .index = {nearest[half].data(), {kProbes}},
                                  .value = {value.data(), {kProbes}}});
  }
  double sum = 0;
  for (std::int64_t i = 0; i < kProbes; ++i)
    for (std::int64_t k = 0; k < d; ++k) {
      const double difference =
          static_cast<double>(x1(2 * nearest[0][i], k)) - static_cast<double>(x1(2 * nearest[1][i] + 1, k));
      sum += difference * difference;
    }
  return sum / 2 / static_cast<double>(kProbes);
}

}  // namespace otnfm
