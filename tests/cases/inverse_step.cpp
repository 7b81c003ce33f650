#include "kernels/inverse_step.h"

#include <algorithm>
#include <cmath>

#include "kernels/memory.h"
#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr const char* kImages[] = {"image_0", "image_1", "image_2"};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

// One row: mixing of up to two differences by Cramer's rule; a step that did not lower ||r|| is taken back.
struct Row {
  std::vector<double> x, y;
  std::vector<std::vector<double>> dx, dr;
  std::vector<double> best_x, best_r;
  bool after_revert = false;
  double error = 0;

  void step(const std::vector<double>& image, bool mixing, double scale) {
    std::vector<double> r(x.size());
    for (std::size_t j = 0; j < x.size(); ++j) r[j] = y[j] - image[j];
    error = std::sqrt(dot(r, r)) / std::max({std::sqrt(dot(x, x)), std::sqrt(dot(y, y)), scale});
    if (mixing && !best_x.empty() && !after_revert && dot(r, r) >= dot(best_r, best_r)) {
      for (std::size_t j = 0; j < x.size(); ++j) x[j] = best_x[j] + best_r[j];
      dx.clear();
      dr.clear();
      after_revert = true;
      return;
    }
    after_revert = false;
    if (!best_x.empty()) {
      dx.emplace_back(x.size());
      dr.emplace_back(x.size());
      for (std::size_t j = 0; j < x.size(); ++j) {
        dx.back()[j] = x[j] - best_x[j];
        dr.back()[j] = r[j] - best_r[j];
      }
      // A row of one number has room for one difference, the newest.
      if (dx.size() > x.size()) dx.erase(dx.begin()), dr.erase(dr.begin());
    }
    best_x = x;
    best_r = r;
    double gamma[2] = {};
    if (mixing && dr.size() == 1) gamma[0] = dot(dr[0], r) / dot(dr[0], dr[0]);
    if (mixing && dr.size() == 2) {
      const double a = dot(dr[0], dr[0]), b = dot(dr[0], dr[1]), c = dot(dr[1], dr[1]);
      const double p = dot(dr[0], r), q = dot(dr[1], r);
      gamma[0] = (p * c - q * b) / (a * c - b * b);
      gamma[1] = (a * q - b * p) / (a * c - b * b);
    }
    for (std::size_t j = 0; j < x.size(); ++j) {
      x[j] += r[j];
      for (std::size_t k = 0; k < dr.size(); ++k) x[j] -= gamma[k] * (dx[k][j] + dr[k][j]);
    }
  }
};

/// Steps from a new state; f(x) is what the buffers hold, of the given ranges. y lies in [5, 6].
Case step_case(const std::string& what, std::int64_t B, std::int64_t d, bool mixing, const std::vector<Fill>& images,
               bool bench = false) {
  constexpr double kScale = 0.5;
  std::vector<Buffer> buffers = {{"y", Role::input, {B, d}, DType::float32, Fill::uniform(5, 6)},
                                 {"x", Role::in_out, {B, d}, DType::float32, Fill::uniform(4, 7)},
                                 {"outcome", Role::output, {B, 2}}};
  for (std::size_t k = 0; k < images.size(); ++k)
    buffers.push_back({kImages[k], Role::input, {B, d}, DType::float32, images[k]});
  const std::size_t steps = images.size(), width = static_cast<std::size_t>(d);
  return {
      .op = "inverse_step",
      .variant = label({B, d}) + " " + what,
      .buffers = buffers,
      .run =
          [=](Stream& stream, const Buffers& b) {
            const std::int64_t columns = InverseStep::kHistoryRows * d;
            const Memory history(stream.device(), static_cast<std::size_t>(B * columns) * sizeof(float),
                                 "a test's history");
            const Memory state(stream.device(), static_cast<std::size_t>(B * InverseStep::kStateSize) * sizeof(double),
                               "a test's state");
            zero_bytes(stream, state.data(), state.bytes());
            for (std::size_t k = 0; k < steps; ++k)
              inverse_step(stream, {.y = b.in("y"),
                                    .image = b.in(kImages[k]),
                                    .x = b.out("x"),
                                    .history = {reinterpret_cast<float*>(history.data()), {B, columns}},
                                    .state = {reinterpret_cast<double*>(state.data()), {B, InverseStep::kStateSize}},
                                    .outcome = b.out("outcome"),
                                    .mixing = mixing,
                                    .scale = static_cast<float>(kScale)});
            stream.synchronize();  // before the memory goes
          },
      .reference =
          [=](Values& values) {
            for (std::size_t i = 0; i < static_cast<std::size_t>(B); ++i) {
              const auto row_of = [&](const char* name) {
                const auto begin = values[name].begin() + static_cast<std::ptrdiff_t>(i * width);
                return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(width));
              };
              Row row{.x = row_of("x"), .y = row_of("y"), .dx = {}, .dr = {}, .best_x = {}, .best_r = {}};
              for (std::size_t k = 0; k < steps; ++k) row.step(row_of(kImages[k]), mixing, kScale);
              std::copy(row.x.begin(), row.x.end(), values["x"].begin() + static_cast<std::ptrdiff_t>(i * width));
              values["outcome"][2 * i] = row.error;
              values["outcome"][2 * i + 1] = row.error == 0 ? 1 : 0;  // a row without numbers
            }
          },
      .bytes = static_cast<double>(B * d) * (4 * (3 + 2 * 2 * static_cast<double>(steps))),
      .bench = bench};
}

std::vector<Case> cases() {
  const Fill far = Fill::uniform(0, 1), nearer = Fill::uniform(4, 4.5), beyond = Fill::uniform(-5, -3),
             near = Fill::uniform(4.9, 5.6);
  std::vector<Case> list;
  for (const auto& [B, d] : odd_shapes()) {
    list.push_back(step_case("plain", B, d, false, {far, nearer, near}));
    list.push_back(step_case("mixed", B, d, true, {far, nearer}));
    list.push_back(step_case("taken back", B, d, true, {far, beyond}));
    // Two differences in few dimensions may be nearly parallel: the system then has no precise solution.
    if (d >= 31) list.push_back(step_case("mixed twice", B, d, true, {far, nearer, near}));
  }
  list.push_back(step_case("mixed twice", 4096, 2, true, {far, nearer, near}, true));
  list.push_back(step_case("mixed twice", 4096, 784, true, {far, nearer, near}, true));
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
