#include "ot/costs/screened_columns.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/pair_cost.h"

namespace otnfm {
namespace {

constexpr int kChunk = 16;

}  // namespace

// The least reduced cost of each chunk of columns; the k-th of those is a threshold that k columns or more are at or
// below. Chunk c has the columns c, c + chunks, c + 2 chunks ..., so that the minima of neighbouring chunks are one
// vector operation.
double ScreenedColumns::select(std::int64_t row, std::int64_t k, Scratch& scratch, HostVector<Arc>& arcs) const {
  const auto m = static_cast<std::int64_t>(g_.size()), chunks = (m + kChunk - 1) / kChunk;
  scratch.reduced.resize(static_cast<std::size_t>(chunks * kChunk));
  const float* exponents = exponents_.row(row);
  const double *beta = exponents_.beta().data(), *g = g_.data();
  const auto unit = static_cast<float>(1 / exponents_.scale());
  float* out = scratch.reduced.data();
  float size = 0;
#pragma omp simd reduction(max : size)
  for (std::int64_t j = 0; j < m; ++j) {
    const auto potential = static_cast<float>(beta[j] - g[j]);
    out[j] = potential - exponents[j] * unit;
    const float magnitude = potential < 0 ? -potential : potential;
    size = magnitude > size ? magnitude : size;
  }
  std::fill(out + m, out + chunks * kChunk, std::numeric_limits<float>::infinity());
  scratch.least.assign(out, out + chunks);
  float* least = scratch.least.data();
  for (int r = 1; r < kChunk; ++r)
    for (std::int64_t c = 0; c < chunks; ++c) {
      const float other = out[r * chunks + c];
      least[c] = other < least[c] ? other : least[c];
    }
  float threshold = std::numeric_limits<float>::infinity();
  if (k < m) {
    HostVector<float>& order = scratch.order;
    if (k > chunks)
      order.assign(out, out + m);
    else
      order = scratch.least;
    std::nth_element(order.begin(), order.begin() + (k - 1), order.end());
    threshold = order[static_cast<std::size_t>(k - 1)];
  }
  arcs.clear();
  for (std::int64_t c = 0; c < chunks; ++c) {
    if (!(least[c] <= threshold)) continue;
    for (std::int64_t j = c; j < m; j += chunks)
      if (out[j] <= threshold) arcs.push_back({pair_cost(problem_, row, j), static_cast<std::int32_t>(j)});
  }
  if (static_cast<std::int64_t>(arcs.size()) == m) return std::numeric_limits<double>::infinity();
  const double rounding = 0x1p-21 * (std::fabs(static_cast<double>(threshold)) + static_cast<double>(size));
  return static_cast<double>(threshold) + exponents_.alpha()[static_cast<std::size_t>(row)] - exponents_.error(row) -
         rounding;
}

void ScreenedColumns::list_all(ShortListAssignment& assignment, std::int64_t k, int threads,
                               const SolveLimits* limits) const {
  const std::int64_t n = exponents_.rows();
  std::mutex moving;
  const host::ThreadLimit limit(threads);
  host::parallel_ranges(n, 128, [&](std::int64_t begin, std::int64_t end) {
    Scratch scratch;
    HostVector<Arc> arcs;
    for (std::int64_t i = begin; i < end; ++i) {
      if (limits != nullptr) limits->stop_if_reached();
      const double bound = select(i, k, scratch, arcs);
      // A list that is longer than its place moves all of them.
      const std::lock_guard lock(moving);
      assignment.set_list(i, arcs, bound);
    }
  });
}

}  // namespace otnfm
