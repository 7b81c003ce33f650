// Problems for the tests of ot/, and an independent answer: a plain O(n^2 m) Hungarian algorithm in double.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ot/cost.h"

namespace otnfm::test {

/// Names its seed where an expectation fails while it lives, so that what chance has found can be had again.
class Random : public std::mt19937_64 {
 public:
  explicit Random(std::uint64_t seed)
      : std::mt19937_64(seed), trace_(__FILE__, __LINE__, "random numbers of seed " + std::to_string(seed)) {}

 private:
  testing::ScopedTrace trace_;
};

template <class T>
struct Matrix {
  std::int64_t rows = 0, columns = 0;
  std::vector<T> values;

  Matrix(std::int64_t r, std::int64_t c) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  T& operator()(std::int64_t i, std::int64_t j) { return values[static_cast<std::size_t>(i * columns + j)]; }
  T operator()(std::int64_t i, std::int64_t j) const { return values[static_cast<std::size_t>(i * columns + j)]; }
  View<const T> view() const { return View<const T>(values.data(), {rows, columns}); }
};

/// The least total cost of matching the smaller side, by the textbook shortest-path form of the Hungarian algorithm.
inline double reference_total(const Matrix<double>& given) {
  Matrix<double> c = given;
  if (given.rows > given.columns) {
    c = Matrix<double>(given.columns, given.rows);
    for (std::int64_t i = 0; i < given.rows; ++i)
      for (std::int64_t j = 0; j < given.columns; ++j) c(j, i) = given(i, j);
  }
  const std::int64_t n = c.rows, m = c.columns;
  const auto size = [](std::int64_t k) { return static_cast<std::size_t>(k); };
  std::vector<double> u(size(n + 1), 0), v(size(m + 1), 0);
  std::vector<std::int64_t> row_of(size(m + 1), 0), way(size(m + 1), 0);
  for (std::int64_t i = 1; i <= n; ++i) {
    row_of[0] = i;
    std::int64_t column = 0;
    std::vector<double> least(size(m + 1), std::numeric_limits<double>::infinity());
    std::vector<char> used(size(m + 1), 0);
    do {
      used[size(column)] = 1;
      const std::int64_t row = row_of[size(column)];
      double delta = std::numeric_limits<double>::infinity();
      std::int64_t next = 0;
      for (std::int64_t j = 1; j <= m; ++j) {
        if (used[size(j)]) continue;
        const double reduced = c(row - 1, j - 1) - u[size(row)] - v[size(j)];
        if (reduced < least[size(j)]) {
          least[size(j)] = reduced;
          way[size(j)] = column;
        }
        if (least[size(j)] < delta) {
          delta = least[size(j)];
          next = j;
        }
      }
      for (std::int64_t j = 0; j <= m; ++j) {
        if (used[size(j)]) {
          u[size(row_of[size(j)])] += delta;
          v[size(j)] -= delta;
        } else {
          least[size(j)] -= delta;
        }
      }
      column = next;
    } while (row_of[size(column)] != 0);
    do {
      const std::int64_t before = way[size(column)];
      row_of[size(column)] = row_of[size(before)];
      column = before;
    } while (column != 0);
  }
  long double total = 0;
  for (std::int64_t j = 1; j <= m; ++j)
    if (row_of[size(j)] != 0) total += c(row_of[size(j)] - 1, j - 1);
  return static_cast<double>(total);
}

template <class T>
Matrix<double> cost_matrix(const Matrix<T>& x, const Matrix<T>& y, Cost cost) {
  Matrix<double> c(x.rows, y.rows);
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t j = 0; j < y.rows; ++j) {
      double square = 0, dot = 0;
      for (std::int64_t k = 0; k < x.columns; ++k) {
        const double a = x(i, k), b = y(j, k);
        square += (a - b) * (a - b);
        dot += a * b;
      }
      c(i, j) = cost == Cost::negative_dot ? -dot : cost == Cost::euclidean ? std::sqrt(square) : square;
    }
  return c;
}

template <class T>
double total_of(const Matrix<T>& c, const std::vector<std::int64_t>& sigma) {
  long double total = 0;
  for (std::int64_t i = 0; i < c.rows; ++i)
    if (sigma[static_cast<std::size_t>(i)] >= 0) total += static_cast<double>(c(i, sigma[static_cast<std::size_t>(i)]));
  return static_cast<double>(total);
}

template <class T>
Matrix<T> gaussian(Random& random, std::int64_t n, std::int64_t d, double scale = 1, double shift = 0) {
  std::normal_distribution<double> normal;
  Matrix<T> points(n, d);
  for (T& value : points.values) value = static_cast<T>(scale * normal(random) + shift);
  return points;
}

/// Eight Gaussians on a circle of radius 5.
template <class T>
Matrix<T> eight_gaussians(Random& random, std::int64_t n) {
  std::normal_distribution<double> normal;
  Matrix<T> points(n, 2);
  for (std::int64_t i = 0; i < n; ++i) {
    const double angle = std::acos(-1.0) / 4 * static_cast<double>(random() % 8);
    points(i, 0) = static_cast<T>(5 * std::cos(angle) + 0.3 * normal(random));
    points(i, 1) = static_cast<T>(5 * std::sin(angle) + 0.3 * normal(random));
  }
  return points;
}

// The cost matrices [n, m] that solvers are tried on in the literature, and those that break them. Integers are whole
// numbers in double.

inline Matrix<double> uniform_costs(Random& random, std::int64_t n, std::int64_t m, double low = 0, double high = 1) {
  std::uniform_real_distribution<double> uniform(low, high);
  Matrix<double> c(n, m);
  for (double& value : c.values) value = uniform(random);
  return c;
}

/// Whole numbers in [0, most].
inline Matrix<double> integer_costs(Random& random, std::int64_t n, std::int64_t m, std::int64_t most) {
  Matrix<double> c(n, m);
  for (double& value : c.values) value = static_cast<double>(random() % static_cast<std::uint64_t>(most + 1));
  return c;
}

/// Squared distances of two samples of the unit square.
inline Matrix<double> spatial_costs(Random& random, std::int64_t n, std::int64_t m) {
  return cost_matrix(uniform_costs(random, n, 2), uniform_costs(random, m, 2), Cost::squared_euclidean);
}

/// 10^U(-20, 20).
inline Matrix<double> many_magnitude_costs(Random& random, std::int64_t n, std::int64_t m) {
  Matrix<double> c = uniform_costs(random, n, m, -20, 20);
  for (double& value : c.values) value = std::pow(10.0, value);
  return c;
}

/// Rank 2, of either sign.
inline Matrix<double> low_rank_costs(Random& random, std::int64_t n, std::int64_t m) {
  return cost_matrix(gaussian<double>(random, n, 2), gaussian<double>(random, m, 2), Cost::negative_dot);
}

/// u_i + v_j + 0.1 [i != j]: only the diagonal is optimal, by a margin that is small beside the costs.
inline Matrix<double> diagonal_costs(Random& random, std::int64_t n, std::int64_t m) {
  const Matrix<double> u = uniform_costs(random, n, 1), v = uniform_costs(random, m, 1);
  Matrix<double> c(n, m);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < m; ++j) c(i, j) = u(i, 0) + v(j, 0) + (i == j ? 0 : 0.1);
  return c;
}

inline Matrix<double> constant_costs(Random& random, std::int64_t n, std::int64_t m) {
  const double value = std::uniform_real_distribution<double>(-10, 10)(random);
  Matrix<double> c(n, m);
  std::fill(c.values.begin(), c.values.end(), value);
  return c;
}

/// Uniform, with a fifth of the entries forbidden by a cost of 1e30.
inline Matrix<double> sentinel_costs(Random& random, std::int64_t n, std::int64_t m) {
  Matrix<double> c = uniform_costs(random, n, m);
  for (double& value : c.values)
    if (random() % 5 == 0) value = 1e30;
  return c;
}

/// Points of which few differ, in both clouds: whole rows and columns are equal.
inline Matrix<double> duplicate_costs(Random& random, std::int64_t n, std::int64_t m) {
  return cost_matrix(integer_costs(random, n, 2, 2), integer_costs(random, m, 2, 2), Cost::squared_euclidean);
}

/// One cloud twice (its first points only, where n != m): the optimum is 0.
inline Matrix<double> identical_cloud_costs(Random& random, std::int64_t n, std::int64_t m) {
  const Matrix<double> all = gaussian<double>(random, std::max(n, m), 3);
  Matrix<double> x(n, 3), y(m, 3);
  std::copy_n(all.values.begin(), x.values.size(), x.values.begin());
  std::copy_n(all.values.begin(), y.values.size(), y.values.begin());
  return cost_matrix(x, y, Cost::squared_euclidean);
}

struct CostGenerator {
  const char* name;
  bool whole;  ///< whole numbers, which an integer matrix holds as well
  Matrix<double> (*make)(Random& random, std::int64_t n, std::int64_t m);
};

/// All of the above.
inline std::span<const CostGenerator> cost_generators() {
  static constexpr CostGenerator generators[] = {
      {"uniform", false, [](Random& r, std::int64_t n, std::int64_t m) { return uniform_costs(r, n, m); }},
      {"integers to n / 10", true,
       [](Random& r, std::int64_t n, std::int64_t m) { return integer_costs(r, n, m, n / 10); }},
      {"integers to n", true, [](Random& r, std::int64_t n, std::int64_t m) { return integer_costs(r, n, m, n); }},
      {"integers to 10 n", true,
       [](Random& r, std::int64_t n, std::int64_t m) { return integer_costs(r, n, m, 10 * n); }},
      {"binary", true, [](Random& r, std::int64_t n, std::int64_t m) { return integer_costs(r, n, m, 1); }},
      {"spatial", false, spatial_costs},
      {"many magnitudes", false, many_magnitude_costs},
      {"low rank", false, low_rank_costs},
      {"diagonal", false, diagonal_costs},
      {"constant", false, constant_costs},
      {"1e-10", false, [](Random& r, std::int64_t n, std::int64_t m) { return uniform_costs(r, n, m, 0, 1e-10); }},
      {"1e20", false, [](Random& r, std::int64_t n, std::int64_t m) { return uniform_costs(r, n, m, 0, 1e20); }},
      {"sentinels", false, sentinel_costs},
      {"duplicates", true, duplicate_costs},
      {"identical clouds", false, identical_cloud_costs},
  };
  return generators;
}

/// Source points x, targets y = A x shuffled, A symmetric positive definite: the pairing x -> A x is optimal (it is the
/// gradient of a convex function). A = D + v v^T with D diagonal, so that it costs O(d) to apply.
struct Planted {
  Matrix<double> source, target;
  std::vector<std::int64_t> sigma;
};

inline Planted planted(Random& random, std::int64_t n, std::int64_t d) {
  // A map near the identity costs nearly nothing, and no gap is small beside that: this one stretches by at least a
  // quarter everywhere, or, the other way round, shrinks.
  std::uniform_real_distribution<double> uniform(1.25, 2.75);
  Planted problem{gaussian<double>(random, n, d), Matrix<double>(n, d),
                  std::vector<std::int64_t>(static_cast<std::size_t>(n))};
  std::vector<double> diagonal(static_cast<std::size_t>(d)), direction(static_cast<std::size_t>(d));
  for (double& value : diagonal) value = uniform(random);
  for (double& value : direction) value = (uniform(random) - 2) / std::sqrt(static_cast<double>(d));
  std::iota(problem.sigma.begin(), problem.sigma.end(), 0);
  std::shuffle(problem.sigma.begin(), problem.sigma.end(), random);
  for (std::int64_t i = 0; i < n; ++i) {
    double along = 0;
    for (std::int64_t k = 0; k < d; ++k) along += direction[static_cast<std::size_t>(k)] * problem.source(i, k);
    for (std::int64_t k = 0; k < d; ++k)
      problem.target(problem.sigma[static_cast<std::size_t>(i)], k) =
          diagonal[static_cast<std::size_t>(k)] * problem.source(i, k) + along * direction[static_cast<std::size_t>(k)];
  }
  if (random() % 2 == 0) return problem;
  std::swap(problem.source, problem.target);
  std::vector<std::int64_t> back(problem.sigma.size());
  for (std::size_t i = 0; i < back.size(); ++i)
    back[static_cast<std::size_t>(problem.sigma[i])] = static_cast<std::int64_t>(i);
  problem.sigma = back;
  return problem;
}

inline bool one_to_one(const std::vector<std::int64_t>& sigma, std::int64_t m) {
  std::vector<char> taken(static_cast<std::size_t>(m), 0);
  std::int64_t matched = 0;
  for (const std::int64_t j : sigma) {
    if (j == -1) continue;
    if (j < 0 || j >= m || taken[static_cast<std::size_t>(j)]) return false;
    taken[static_cast<std::size_t>(j)] = 1;
    ++matched;
  }
  return matched == std::min<std::int64_t>(static_cast<std::int64_t>(sigma.size()), m);
}

}  // namespace otnfm::test
