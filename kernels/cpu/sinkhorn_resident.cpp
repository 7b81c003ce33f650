// A problem a thread: 3 n m d FLOPs once, then 2 n m exponentials an iteration over costs that stay in its second
// cache.
#include "kernels/sinkhorn_resident.h"

#include <algorithm>
#include <cmath>

#include "kernels/device/sinkhorn_stage.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"

namespace otnfm::cpu {
namespace {

constexpr float kLog2E = 1.44269504f;

/// -epsilon log mean_k exp((potential_k - cost_k) / epsilon), where scale = log2(e) / epsilon.
float soft_minimum(const float* cost, std::int64_t stride, const float* potential, std::int64_t count, float scale) {
  float highest = potential[0] - cost[0];
  for (std::int64_t k = 1; k < count; ++k) highest = std::max(highest, potential[k] - cost[k * stride]);
  float sum = 0;
  for (std::int64_t k = 0; k < count; ++k) sum += exp2_of((potential[k] - cost[k * stride] - highest) * scale);
  return -highest - std::log2(sum / static_cast<float>(count)) / scale;
}

void solve(const SinkhornResident& a, std::int64_t problem, HostVector<float>& costs) {
  const std::int64_t n = a.f.columns(), m = a.g.columns(), d = a.x.columns();
  costs.resize(static_cast<std::size_t>(n * m));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < m; ++j) {
      const float *x = a.x.row(problem * n + i), *y = a.y.row(problem * m + j);
      float sum = 0;
      for (std::int64_t k = 0; k < d; ++k) sum += (x[k] - y[k]) * (x[k] - y[k]);
      costs[static_cast<std::size_t>(i * m + j)] = sum;
    }
  float *f = a.f.row(problem), *g = a.g.row(problem);
  HostVector<float> next(static_cast<std::size_t>(m));
  std::fill_n(g, m, 0.0f);
  SinkhornStage stage = SinkhornStage::first(a);
  for (std::int32_t iteration = 1;; ++iteration) {
    const float scale = kLog2E / stage.epsilon;
    for (std::int64_t i = 0; i < n; ++i) f[i] = soft_minimum(costs.data() + i * m, 1, g, m, scale);
    float error = 0;
    for (std::int64_t j = 0; j < m; ++j) {
      next[static_cast<std::size_t>(j)] = soft_minimum(costs.data() + j, m, f, n, scale);
      error += marginal_share(g[j], next[static_cast<std::size_t>(j)], scale, m);
    }
    if (stage.ends(a, error, iteration)) {
      a.error.data[problem] = error;
      a.iterations.data[problem] = iteration;
      return;
    }
    std::copy(next.begin(), next.end(), g);
  }
}

}  // namespace

void sinkhorn_resident(Stream&, const SinkhornResident& a) {
  host::parallel_ranges(a.f.rows(), 1, [&](std::int64_t begin, std::int64_t end) {
    HostVector<float> costs;
    for (std::int64_t problem = begin; problem < end; ++problem) solve(a, problem, costs);
  });
}

}  // namespace otnfm::cpu
