#include "ot/costs/spatial_order.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/host_vector.h"

namespace otnfm {
namespace {

std::int64_t widest_axis(std::span<const double> points, std::int64_t d, const std::int32_t* begin,
                         const std::int32_t* end) {
  std::int64_t axis = 0;
  double widest = -1;
  for (std::int64_t k = 0; k < d; ++k) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const std::int32_t* p = begin; p < end; ++p) {
      const double x = points[static_cast<std::size_t>(*p * d + k)];
      low = std::min(low, x);
      high = std::max(high, x);
    }
    if (high - low > widest) {
      widest = high - low;
      axis = k;
    }
  }
  return axis;
}

void split(std::span<const double> points, std::int64_t d, std::int32_t* begin, std::int32_t* end) {
  const std::int64_t size = end - begin;
  if (size <= kGroup) return;
  std::int64_t unit = kGroup;
  while (unit * kGroup <= size / 2) unit *= kGroup;
  const std::int64_t left = (size / 2 + unit / 2) / unit * unit;
  const std::int64_t axis = widest_axis(points, d, begin, end);
  std::nth_element(begin, begin + left, end, [&](std::int32_t a, std::int32_t b) {
    const double x = points[static_cast<std::size_t>(a * d + axis)], y = points[static_cast<std::size_t>(b * d + axis)];
    return x < y || (x == y && a < b);
  });
  split(points, d, begin, begin + left);
  split(points, d, begin + left, end);
}

}  // namespace

void spatial_order(std::span<const double> points, std::int64_t dimension, std::span<std::int32_t> order) {
  std::iota(order.begin(), order.end(), 0);
  split(points, dimension, order.data(), order.data() + order.size());
}

void coarsen(std::span<const double> points, std::int64_t dimension, HostVector<double>& means) {
  const std::int64_t n = static_cast<std::int64_t>(points.size()) / dimension, cells = (n + kGroup - 1) / kGroup;
  means.assign(static_cast<std::size_t>(cells * dimension), 0.0);
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const std::int64_t begin = cell * kGroup, end = std::min(n, begin + kGroup);
    for (std::int64_t k = 0; k < dimension; ++k) {
      double sum = 0;
      for (std::int64_t p = begin; p < end; ++p) sum += points[static_cast<std::size_t>(p * dimension + k)];
      means[static_cast<std::size_t>(cell * dimension + k)] = sum / static_cast<double>(end - begin);
    }
  }
}

}  // namespace otnfm
