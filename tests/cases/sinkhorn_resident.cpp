#include "kernels/sinkhorn_resident.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

// `iterations` alternating updates at one epsilon, or at three: the tolerance is never met, so that the number is
// known.
Case resident_case(std::int64_t batch, std::int64_t n, std::int64_t m, std::int64_t d, int iterations, bool annealed,
                   bool bench = false) {
  const auto at = [](std::int64_t k) { return static_cast<std::size_t>(k); };
  const double epsilon = 0.5 * static_cast<double>(d);
  return {.op = "sinkhorn_resident",
          .variant = label({batch, n, m, d, iterations}) + (annealed ? " annealed" : ""),
          .buffers = {{"x", Role::input, {batch * n, d}},
                      {"y", Role::input, {batch * m, d}},
                      {"f", Role::output, {batch, n}},
                      {"g", Role::output, {batch, m}},
                      {"error", Role::output, {batch}},
                      {"iterations", Role::output, {batch}, DType::int32}},
          .run =
              [=](Stream& stream, const Buffers& b) {
                sinkhorn_resident(stream, {.x = b.in("x"),
                                           .y = b.in("y"),
                                           .f = b.out("f"),
                                           .g = b.out("g"),
                                           .error = b.out("error"),
                                           .iterations = b.view<std::int32_t>("iterations"),
                                           .epsilon = static_cast<float>(epsilon),
                                           .first_epsilon = annealed ? static_cast<float>(epsilon) * 2.5f : 0.0f,
                                           .factor = 0.5f,
                                           .tolerance = 0,
                                           .max_iterations = iterations});
              },
          .reference =
              [=](Values& v) {
                for (std::int64_t problem = 0; problem < batch; ++problem) {
                  std::vector<double> f(at(n), 0), g(at(m), 0), next(at(m), 0);
                  const auto cost = [&](std::int64_t i, std::int64_t j) {
                    double sum = 0;
                    for (std::int64_t k = 0; k < d; ++k) {
                      const double apart =
                          v["x"][at((problem * n + i) * d + k)] - v["y"][at((problem * m + j) * d + k)];
                      sum += apart * apart;
                    }
                    return sum;
                  };
                  double now = annealed ? 2 * epsilon : epsilon, error = 0;
                  for (int iteration = 0, in_stage = 0; iteration < iterations; ++iteration) {
                    if (iteration > 0) g = next;
                    for (std::int64_t i = 0; i < n; ++i) {
                      double sum = 0;
                      for (std::int64_t j = 0; j < m; ++j) sum += std::exp((g[at(j)] - cost(i, j)) / now);
                      f[at(i)] = -now * std::log(sum / static_cast<double>(m));
                    }
                    error = 0;
                    for (std::int64_t j = 0; j < m; ++j) {
                      double sum = 0;
                      for (std::int64_t i = 0; i < n; ++i) sum += std::exp((f[at(i)] - cost(i, j)) / now);
                      next[at(j)] = -now * std::log(sum / static_cast<double>(n));
                      error += std::fabs(std::exp((g[at(j)] - next[at(j)]) / now) - 1) / static_cast<double>(m);
                    }
                    ++in_stage;
                    if (now > epsilon && (error <= 0.1 || in_stage >= 12)) {
                      now /= 2;
                      in_stage = 0;
                    }
                  }
                  for (std::int64_t i = 0; i < n; ++i) v["f"][at(problem * n + i)] = f[at(i)];
                  for (std::int64_t j = 0; j < m; ++j) v["g"][at(problem * m + j)] = g[at(j)];
                  v["error"][at(problem)] = error;
                  v["iterations"][at(problem)] = iterations;
                }
              },
          .tolerance = 2e-5,  // of an error that is a difference of exponentials near 1, too
          .norm_tolerance = 2e-5,
          .bytes = 4.0 * static_cast<double>(batch * (n + m) * d),
          .flops = static_cast<double>(batch * n * m) * (3.0 * static_cast<double>(d) + 10.0 * iterations),
          .bench = bench};
}

std::vector<Case> cases() {
  return {resident_case(0, 3, 5, 2, 1, false),   resident_case(2, 31, 33, 2, 3, false),
          resident_case(1, 5, 70, 7, 2, false),  resident_case(3, 17, 8, 1, 4, true),
          resident_case(1, 1, 37, 64, 1, false), resident_case(132, 224, 224, 64, 50, false, true)};
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
