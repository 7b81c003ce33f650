#include "ot/costs/point_scan.h"

#include <algorithm>
#include <cmath>

#include "kernels/host_vector.h"
#include "ot/costs/infinity.h"

namespace otnfm {
namespace {

constexpr int kBlock = PointScan::kBlock;

// The kernels, for a cost and a dimension known at compile time (0: at run time).
template <Cost kind, int fixed>
struct Kernel {
  // out_b <= C(x, y) - g(y) for every y of block b, whose potentials are at most offset + slope . (y - middle).
  static void bounds(const double* x, const double* low, const double* high, const double* slope, const double* offset,
                     std::int64_t blocks, std::int64_t d, double* out) {
    if constexpr (fixed > 0) d = fixed;
    for (std::int64_t b = 0; b < blocks; ++b) out[b] = kind == Cost::euclidean ? 0 : -offset[b];
    for (std::int64_t k = 0; k < d; ++k) {
      const double *lo = low + k * blocks, *hi = high + k * blocks, *gradient = slope + k * blocks;
      const double xk = x[k];
      for (std::int64_t b = 0; b < blocks; ++b) {
        const double middle = 0.5 * (lo[b] + hi[b]);
        if constexpr (kind == Cost::negative_dot) {
          const double shifted = xk + gradient[b], to_low = shifted * lo[b], to_high = shifted * hi[b];
          out[b] += gradient[b] * middle - (to_low > to_high ? to_low : to_high);
        } else {
          // |x - y|^2 - slope . y is |x + slope / 2 - y|^2 and a constant: again a distance to a box.
          const double half = 0.5 * gradient[b], shifted = xk + half;
          const double below = lo[b] - shifted, above = shifted - hi[b];
          const double outside = below > above ? below : above, distance = outside > 0 ? outside : 0;
          out[b] += distance * distance - half * (2 * (xk - middle) + half);
        }
      }
    }
    if constexpr (kind == Cost::euclidean)
      for (std::int64_t b = 0; b < blocks; ++b) out[b] = std::sqrt(out[b]) - offset[b];
  }

  static void reduced(const double* x, const double* block, const double* g, std::int64_t d, double* out) {
    if constexpr (fixed > 0) d = fixed;
    double sum[kBlock] = {};
    for (std::int64_t k = 0; k < d; ++k) {
      const double xk = x[k];
      const double* y = block + k * kBlock;
      for (int j = 0; j < kBlock; ++j) {
        if constexpr (kind == Cost::negative_dot) {
          sum[j] -= xk * y[j];
        } else {
          const double difference = xk - y[j];
          sum[j] += difference * difference;
        }
      }
    }
    for (int j = 0; j < kBlock; ++j) out[j] = (kind == Cost::euclidean ? std::sqrt(sum[j]) : sum[j]) - g[j];
  }

  // The cost of one column of a block, whose first coordinate is at y.
  static double cost(const double* x, const double* y, std::int64_t d) {
    if constexpr (fixed > 0) d = fixed;
    double sum = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const double difference = x[k] - y[k * kBlock];
      sum += kind == Cost::negative_dot ? -x[k] * y[k * kBlock] : difference * difference;
    }
    return kind == Cost::euclidean ? std::sqrt(sum) : sum;
  }
};

double least_of(const double* values) {
  double least = kInfinity;
#pragma omp simd reduction(min : least)
  for (int j = 0; j < kBlock; ++j) least = values[j] < least ? values[j] : least;
  return least;
}

std::int64_t count_up_to(const double* values, std::int64_t size, double ceiling) {
  std::int64_t count = 0;
#pragma omp simd reduction(+ : count)
  for (std::int64_t j = 0; j < size; ++j) count += values[j] <= ceiling ? 1 : 0;
  return count;
}

// A ceiling with k or more values at or below it, and `limit` at the most unless there are ties. By bisection: a
// vectorised count of all takes as long as a few mispredicted branches of a partition. `high`, where finite, has k
// values at or below it.
double select(const double* values, std::int64_t size, std::int64_t k, std::int64_t limit, double high = kInfinity) {
  double low = kInfinity, greatest = -kInfinity;
#pragma omp simd reduction(min : low) reduction(max : greatest)
  for (std::int64_t j = 0; j < size; ++j) {
    low = values[j] < low ? values[j] : low;
    const double finite = values[j] < kInfinity ? values[j] : -kInfinity;
    greatest = finite > greatest ? finite : greatest;
  }
  high = std::min(high, greatest);
  if (count_up_to(values, size, low) >= k) return low;
  for (int step = 0; step < 64; ++step) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    const std::int64_t count = count_up_to(values, size, middle);
    if (count >= k)
      high = middle;
    else
      low = middle;
    if (count >= k && count <= limit) break;
  }
  return high;
}

}  // namespace

void PointScan::reset(std::span<const double> points, std::int64_t dimension, Cost cost) {
  dimension_ = dimension;
  cost_ = cost;
  n_ = static_cast<std::int64_t>(points.size()) / std::max<std::int64_t>(1, dimension);
  blocks_ = (n_ + kBlock - 1) / kBlock;
  coordinates_.resize(static_cast<std::size_t>(blocks_ * dimension * kBlock));
  low_.assign(static_cast<std::size_t>(blocks_ * dimension), kInfinity);
  high_.assign(static_cast<std::size_t>(blocks_ * dimension), -kInfinity);
  for (std::int64_t j = 0; j < blocks_ * kBlock; ++j)
    for (std::int64_t k = 0; k < dimension; ++k) {
      const double y = points[static_cast<std::size_t>(std::min(j, n_ - 1) * dimension + k)];
      const std::int64_t block = j / kBlock;
      coordinates_[static_cast<std::size_t>((block * dimension + k) * kBlock + j % kBlock)] = y;
      double& low = low_[static_cast<std::size_t>(k * blocks_ + block)];
      double& high = high_[static_cast<std::size_t>(k * blocks_ + block)];
      low = std::min(low, y);
      high = std::max(high, y);
    }
  g_.assign(static_cast<std::size_t>(blocks_ * kBlock), -kInfinity);
  std::fill_n(g_.begin(), n_, 0.0);
  slope_.assign(low_.size(), 0.0);
  offset_.assign(static_cast<std::size_t>(blocks_), 0.0);
}

void PointScan::refresh_bounds() {
  double residual[kBlock];
  for (std::int64_t b = 0; b < blocks_; ++b) {
    const double* g = g_.data() + b * kBlock;
    const int size = static_cast<int>(std::min<std::int64_t>(kBlock, n_ - b * kBlock));
    std::copy_n(g, kBlock, residual);
    for (std::int64_t k = 0; k < dimension_; ++k) {
      const auto at = static_cast<std::size_t>(k * blocks_ + b);
      const double* y = coordinates_.data() + (b * dimension_ + k) * kBlock;
      const double middle = 0.5 * (low_[at] + high_[at]);
      double moment = 0, square = 0, mean = 0;
      if (cost_ != Cost::euclidean) {
        for (int j = 0; j < size; ++j) mean += y[j];
        mean /= size;
        for (int j = 0; j < size; ++j) {
          const double centred = y[j] - mean;
          moment += centred * residual[j];
          square += centred * centred;
        }
      }
      const double gradient = square > 0 ? moment / square : 0;
      slope_[at] = gradient;
      for (int j = 0; j < kBlock; ++j) residual[j] -= gradient * (y[j] - middle);
    }
    offset_[static_cast<std::size_t>(b)] = *std::max_element(residual, residual + size);
  }
}

template <class Search>
auto PointScan::dispatch(const Search& search) const {
  const auto with_dimension = [&]<Cost kind>() {
    switch (dimension_) {
      case 1:
        return search(Kernel<kind, 1>{});
      case 2:
        return search(Kernel<kind, 2>{});
      case 3:
        return search(Kernel<kind, 3>{});
      default:
        return search(Kernel<kind, 0>{});
    }
  };
  switch (cost_) {
    case Cost::euclidean:
      return with_dimension.template operator()<Cost::euclidean>();
    case Cost::negative_dot:
      return with_dimension.template operator()<Cost::negative_dot>();
    default:
      return with_dimension.template operator()<Cost::squared_euclidean>();
  }
}

double PointScan::least(const double* x, Scratch& scratch) const {
  scratch.bounds.resize(static_cast<std::size_t>(blocks_));
  double* bounds = scratch.bounds.data();
  return dispatch([&](auto kernel) {
    kernel.bounds(x, low_.data(), high_.data(), slope_.data(), offset_.data(), blocks_, dimension_, bounds);
    double values[kBlock];
    const auto evaluate = [&](std::int64_t b) {
      kernel.reduced(x, coordinates_.data() + b * dimension_ * kBlock, g_.data() + b * kBlock, dimension_, values);
      return least_of(values);
    };
    const std::int64_t start = std::min_element(bounds, bounds + blocks_) - bounds;
    double least = evaluate(start);
    for (std::int64_t b = 0; b < blocks_; ++b)
      if (bounds[b] < least && b != start) least = std::min(least, evaluate(b));
    return least;
  });
}

double PointScan::nearest(const double* x, std::int64_t k, Scratch& scratch, HostVector<Arc>& arcs) const {
  scratch.bounds.resize(static_cast<std::size_t>(blocks_));
  scratch.values.resize(static_cast<std::size_t>(blocks_ * kBlock));
  double* bounds = scratch.bounds.data();
  auto& blocks = scratch.blocks;
  blocks.clear();
  return dispatch([&](auto kernel) {
    kernel.bounds(x, low_.data(), high_.data(), slope_.data(), offset_.data(), blocks_, dimension_, bounds);
    const auto evaluate = [&](std::int64_t b) {
      kernel.reduced(x, coordinates_.data() + b * dimension_ * kBlock, g_.data() + b * kBlock, dimension_,
                     scratch.values.data() + blocks.size() * kBlock);
      blocks.push_back(static_cast<std::int32_t>(b));
    };
    const auto evaluated = [&] { return static_cast<std::int64_t>(blocks.size()) * kBlock; };
    // The blocks of least bound, with 2 k columns or more, give a ceiling for all others.
    const std::int64_t first = (2 * k + kBlock - 1) / kBlock + 1, limit = k + k / 2;
    const double seed = first < blocks_ ? select(bounds, blocks_, first, 2 * first) : kInfinity;
    for (std::int64_t b = 0; b < blocks_; ++b)
      if (bounds[b] <= seed) evaluate(b);
    double ceiling = kInfinity;
    if (k < n_) {
      ceiling = select(scratch.values.data(), evaluated(), k, limit);
      const std::int64_t seeds = evaluated();
      for (std::int64_t b = 0; b < blocks_; ++b)
        if (bounds[b] > seed && bounds[b] < ceiling) evaluate(b);
      if (evaluated() > seeds && count_up_to(scratch.values.data(), evaluated(), ceiling) > limit)
        ceiling = select(scratch.values.data(), evaluated(), k, limit, ceiling);
    }
    arcs.clear();
    // Where ties at the ceiling are beyond number, those below it come first: there are fewer than k of them.
    const bool crowded = k < n_ && count_up_to(scratch.values.data(), evaluated(), ceiling) > limit;
    const auto take = [&](auto wanted) {
      for (std::size_t slot = 0; slot < blocks.size(); ++slot) {
        const double* values = scratch.values.data() + slot * kBlock;
        std::int32_t near[kBlock];
        int count = 0;
        for (int j = 0; j < kBlock; ++j) {
          near[count] = j;
          count += wanted(values[j]);
        }
        const std::int64_t b = blocks[slot];
        for (int a = 0; a < count; ++a) {
          const auto column = static_cast<std::int32_t>(b * kBlock + near[a]);
          if (column >= n_) continue;
          if (static_cast<std::int64_t>(arcs.size()) == limit && k < n_) return;
          arcs.push_back({kernel.cost(x, coordinates_.data() + b * dimension_ * kBlock + near[a], dimension_), column});
        }
      }
    };
    if (crowded) {
      take([ceiling](double value) { return value < ceiling; });
      take([ceiling](double value) { return value == ceiling; });
    } else {
      take([ceiling](double value) { return value <= ceiling; });
    }
    return ceiling;
  });
}

}  // namespace otnfm
