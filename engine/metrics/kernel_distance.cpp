#include "engine/metrics/kernel_distance.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/data/random_permutation.h"
#include "engine/metrics/host_stream.h"
#include "engine/metrics/summary.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/matmul.h"

namespace otnfm {
namespace {

/// Sum over all pairs of k(a_i, b_j), and over the pairs i = j.
struct KernelSums {
  double all = 0, diagonal = 0;
};

KernelSums kernel_sums(const std::vector<float>& a, const std::vector<float>& b, std::int64_t n, std::int64_t d,
                       std::vector<float>& products) {
  products.resize(static_cast<std::size_t>(n * n));
  matmul(metrics_stream(), {.a = View<const float>(a.data(), {n, d}),
                            .b = View<const float>(b.data(), {n, d}),
                            .c = View<float>(products.data(), {n, n}),
                            .transpose_b = true});
  std::vector<double> of_rows(static_cast<std::size_t>(n));
  const double scale = 1.0 / static_cast<double>(d);
  host::parallel_rows(n, n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* row = products.data() + i * n;
      double sum = 0;
      for (std::int64_t j = 0; j < n; ++j) {
        const double k = static_cast<double>(row[j]) * scale + 1;
        sum += k * k * k;
      }
      of_rows[static_cast<std::size_t>(i)] = sum;
    }
  });
  KernelSums sums;
  for (std::int64_t i = 0; i < n; ++i) {
    const double k = static_cast<double>(products[static_cast<std::size_t>(i * n + i)]) * scale + 1;
    sums.all += of_rows[static_cast<std::size_t>(i)];
    sums.diagonal += k * k * k;
  }
  return sums;
}

}  // namespace

KernelDistance kernel_distance(View<const float> a, View<const float> b, const KernelDistanceOptions& options) {
  if (a.columns() != b.columns())
    throw InputError("kernel distance of features of " + std::to_string(a.columns()) + " and " +
                     std::to_string(b.columns()) + " dimensions");
  const std::int64_t d = a.columns(), n = std::min({options.size, a.rows(), b.rows()});
  if (n < 2 || d < 1 || options.subsets < 1)
    throw InputError("kernel distance needs 2 rows of each set, 1 column and 1 subset at least");
  std::vector<double> values;
  std::vector<float> left(static_cast<std::size_t>(n * d)), right(left.size()), products;
  for (std::int64_t subset = 0; subset < options.subsets; ++subset) {
    const auto take = [&](View<const float> from, std::uint32_t stream, std::vector<float>& to) {
      const RandomPermutation order(
          from.rows(), {.seed = options.seed, .stream = stream, .step = static_cast<std::uint64_t>(subset)});
      for (std::int64_t i = 0; i < n; ++i) {
        const float* row = from.row(order(i));
        std::copy(row, row + d, to.data() + i * d);
      }
    };
    take(a, 1, left);
    take(b, 2, right);
    const KernelSums aa = kernel_sums(left, left, n, d, products), bb = kernel_sums(right, right, n, d, products),
                     ab = kernel_sums(left, right, n, d, products);
    const double pairs = static_cast<double>(n) * static_cast<double>(n - 1);
    values.push_back((aa.all - aa.diagonal + bb.all - bb.diagonal) / pairs -
                     2 * ab.all / (static_cast<double>(n) * static_cast<double>(n)));
  }
  const Summary summary = summarize(values);
  return {summary.mean, summary.standard_deviation, n};
}

}  // namespace otnfm
