#include "kernels/fixed_point_step.h"

#include <cmath>

#include "kernels/memory.h"
#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr const char* kMapped[] = {"mapped_0", "mapped_1", "mapped_2"};

// The combination of the last T(v) with the least residual, by elimination with pivoting, for up to two differences.
std::vector<double> mix(const std::vector<std::vector<double>>& v, const std::vector<std::vector<double>>& mapped,
                        const std::vector<double>& weight) {
  const std::size_t steps = mapped.size(), m = weight.size(), depth = steps - 1;
  const auto residual = [&](std::size_t k, std::size_t j) { return mapped[k][j] - v[k][j]; };
  double a[2][3] = {};
  for (std::size_t r = 0; r < depth; ++r)
    for (std::size_t j = 0; j < m; ++j) {
      const double row = weight[j] * (residual(r + 1, j) - residual(r, j));
      for (std::size_t c = 0; c < depth; ++c) a[r][c] += row * (residual(c + 1, j) - residual(c, j));
      a[r][2] += row * residual(steps - 1, j);
    }
  double gamma[2] = {};
  if (depth == 1) gamma[0] = a[0][2] / a[0][0];
  if (depth == 2) {
    const double determinant = a[0][0] * a[1][1] - a[0][1] * a[1][0];
    gamma[0] = (a[0][2] * a[1][1] - a[0][1] * a[1][2]) / determinant;
    gamma[1] = (a[0][0] * a[1][2] - a[1][0] * a[0][2]) / determinant;
  }
  std::vector<double> next = mapped.back();
  for (std::size_t k = 0; k < depth; ++k)
    for (std::size_t j = 0; j < m; ++j) next[j] -= gamma[k] * (mapped[k + 1][j] - mapped[k][j]);
  return next;
}

// `steps` steps from a new state; T(v) is what the buffers hold.
Case step_case(std::int64_t m, int steps, bool mixing, double tolerance, bool bench = false, double relaxation = 1) {
  std::vector<Buffer> buffers = {{"v", Role::in_out, {m}, DType::float64},
                                 {"residual",
                                  Role::input,
                                  {m},
                                  DType::float64,
                                  Fill::uniform(0.1 / static_cast<double>(m), 0.2 / static_cast<double>(m))},
                                 {"marginal", Role::input, {m}, DType::float32, Fill::uniform(0.1, 2)},
                                 {"rounded", Role::output, {m}},
                                 {"weight", Role::output, {m}},
                                 {"error", Role::output, {2}, DType::float64}};
  for (int k = 0; k < steps; ++k) buffers.push_back({kMapped[k], Role::input, {m}, DType::float64});
  return {.op = "fixed_point_step",
          .variant = label({m, steps}) + (mixing ? " mixing" : "") + (tolerance > 0 ? " within tolerance" : "") +
                     (relaxation > 1 ? " relaxed" : ""),
          .buffers = buffers,
          .run =
              [=](Stream& stream, const Buffers& b) {
                const Memory history(stream.device(), static_cast<std::size_t>(FixedPointStep::kHistoryRows * m * 8),
                                     "a test's history");
                const Memory state(stream.device(), FixedPointStep::kStateSize * 8, "a test's state");
                zero_bytes(stream, state.data(), state.bytes());
                for (int k = 0; k < steps; ++k)
                  fixed_point_step(
                      stream,
                      {.v = b.view<double>("v"),
                       .mapped = b.view<const double>(kMapped[k]),
                       .residual = b.view<const double>("residual"),
                       .marginal = b.in("marginal"),
                       .rounded = b.out("rounded"),
                       .weight = b.out("weight"),
                       .history = {reinterpret_cast<double*>(history.data()), {FixedPointStep::kHistoryRows, m}},
                       .state = {reinterpret_cast<double*>(state.data()), {FixedPointStep::kStateSize}},
                       .mixing = mixing,
                       .relaxation = relaxation,
                       .tolerance = tolerance});
                copy_bytes(stream, b.view<double>("error").data, state.data(), 2 * sizeof(double));
                stream.synchronize();  // before the memory goes
              },
          .reference =
              [=](Values& values) {
                std::vector<std::vector<double>> v, mapped;
                for (int k = 0; k < steps && tolerance == 0; ++k) {
                  v.push_back(values["v"]);
                  mapped.push_back(values[kMapped[k]]);
                  if (mixing) values["v"] = mix(v, mapped, values["marginal"]);
                  for (std::size_t j = 0; j < values["v"].size() && !mixing; ++j)
                    values["v"][j] += relaxation * (mapped.back()[j] - values["v"][j]);
                }
                for (std::size_t j = 0; j < values["v"].size(); ++j) {
                  values["rounded"][j] = static_cast<double>(static_cast<float>(values["v"][j]));
                  values["weight"][j] = values["marginal"][j] * std::exp2(values["v"][j] - values["rounded"][j]);
                }
                double error = 0;
                for (const double part : values["residual"]) error += part;
                values["error"] = {error, tolerance > 0 ? 0.0 : static_cast<double>(steps)};
              },
          .bytes = 16.0 * static_cast<double>(m) * (FixedPointStep::kDepth + 4),
          .bench = bench};
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const std::int64_t m : {1, 31, 513, 1031}) {
    list.push_back(step_case(m, 2, false, 0));
    list.push_back(step_case(m, 2, false, 0, false, 1.5));
    list.push_back(step_case(m, 3, true, 1));
    if (m > 1) list.push_back(step_case(m, 3, true, 0));
  }
  list.push_back(step_case(16, 1, true, 0));
  list.push_back(step_case(4096, 3, true, 0, true));
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
