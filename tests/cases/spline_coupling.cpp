#include "kernels/spline_coupling.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

struct Size {
  std::int64_t B, d, n;
  int bins;
};

constexpr double kBox = 3, kBound = 2;

/// The spline as the paper writes it, knots and all, and its inverse by bisection.
struct Spline {
  std::vector<double> x, y, slope;

  Spline(const double* raw, double phi, int bins) {
    x = knots(raw, phi, bins);
    y = knots(raw + bins, phi, bins);
    slope.assign(bins + 1, 1.0);
    for (int k = 1; k < bins; ++k) slope[k] = std::exp(kBound * std::tanh(phi * raw[2 * bins + k - 1] / kBound));
  }

  static std::vector<double> knots(const double* raw, double phi, int bins) {
    double sum = 0;
    for (int k = 0; k < bins; ++k) sum += std::exp(phi * raw[k]);
    std::vector<double> at = {-kBox};
    for (int k = 0; k < bins; ++k)
      at.push_back(at.back() + 2 * kBox * (0.5 / bins + 0.5 * std::exp(phi * raw[k]) / sum));
    return at;
  }

  double map(double point, double& log_slope) const {
    if (!(std::abs(point) < kBox)) return point;
    std::size_t k = 0;
    while (k + 2 < x.size() && point >= x[k + 1]) ++k;
    const double width = x[k + 1] - x[k], height = y[k + 1] - y[k], s = height / width, xi = (point - x[k]) / width;
    const double u = xi * (1 - xi), D = s + (slope[k + 1] + slope[k] - 2 * s) * u;
    log_slope += std::log(s * s * (slope[k + 1] * xi * xi + 2 * s * u + slope[k] * (1 - xi) * (1 - xi)) / (D * D));
    return y[k] + height * (s * xi * xi + slope[k] * u) / D;
  }

  double inverse(double point, double& log_slope) const {
    if (!(std::abs(point) < kBox)) return point;
    double low = -kBox, high = kBox, unused = 0;
    for (int step = 0; step < 200; ++step) {
      const double middle = (low + high) / 2;
      (map(middle, unused) < point ? low : high) = middle;
    }
    double forward = 0;
    map(low, forward);
    log_slope -= forward;
    return low;
  }
};

Reference forward_of(Size size, bool inverse) {
  return [=](Values& v) {
    const auto& [B, d, n, bins] = size;
    v["y"] = v["x"];
    v["log_det"].assign(B, 0.0);
    for (std::int64_t i = 0; i < B; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double& point = v["y"][i * d + static_cast<std::int64_t>(v["index"][d - n + j])];
        const Spline spline(v["raw"].data() + (i * n + j) * (3 * bins - 1), v["phi"][i * n + j], bins);
        point = inverse ? spline.inverse(point, v["log_det"][i]) : spline.map(point, v["log_det"][i]);
      }
  };
}

void add_cases(std::vector<Case>& list, Size size, bool inverse, bool with_log_det, bool bench) {
  const auto& [B, d, n, bins] = size;
  const SplineShape shape{.bins = bins, .box = static_cast<float>(kBox), .slope_bound = static_cast<float>(kBound)};
  const std::string variant = std::string(inverse ? "inverse " : "") + (with_log_det ? "" : "without log_det ") +
                              std::to_string(bins) + " bins " + label({B, d, n});
  const std::int64_t weights = n * shape.weights();
  const std::vector<Buffer> inputs = {{"x", Role::input, {B, d}, DType::float32, Fill::uniform(-3.5, 3.5)},
                                      {"raw", Role::input, {B, weights}},
                                      {"phi", Role::input, {B, n}, DType::float32, Fill::uniform(0.2, 1)},
                                      {"index", Role::input, {d}, DType::int64, Fill::permutation()}};
  std::vector<Buffer> buffers = inputs;
  buffers.push_back({"y", Role::output, {B, d}});
  if (with_log_det) buffers.push_back({"log_det", Role::output, {B}});
  const double moved = static_cast<double>(B * n), read = static_cast<double>(B * weights);
  list.push_back({.op = "spline_coupling",
                  .variant = variant,
                  .buffers = buffers,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        spline_coupling(s, {.x = b.in("x"),
                                            .raw = b.in("raw"),
                                            .phi = b.in("phi"),
                                            .index = b.view<std::int64_t>("index"),
                                            .y = b.out("y"),
                                            .log_det = with_log_det ? b.out("log_det") : View<float>(),
                                            .shape = shape,
                                            .inverse = inverse});
                      },
                  .reference = forward_of(size, inverse),
                  .tolerance = 5e-5,  // the place in a bin is a difference, and a bin may be steep
                  .norm_tolerance = 2e-5,
                  .bytes = 4 * read + 12 * moved,
                  .flops = 60.0 * moved * bins,
                  .bench = bench});
  buffers = inputs;
  buffers.push_back({"dy", Role::input, {B, d}});
  if (with_log_det) buffers.push_back({"dlog_det", Role::input, {B}, DType::float32, Fill::uniform(0.5, 1.5)});
  for (const auto& [name, columns] : {std::pair{"dx", d}, {"draw", weights}, {"dphi", n}})
    buffers.push_back({name, Role::output, {B, columns}});
  std::vector<std::pair<std::string, std::string>> outputs = {{"y", "dy"}};
  if (with_log_det) outputs.push_back({"log_det", "dlog_det"});
  list.push_back({.op = "spline_coupling_backward",
                  .variant = variant,
                  .buffers = buffers,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        spline_coupling_backward(s, {.x = b.in("x"),
                                                     .raw = b.in("raw"),
                                                     .phi = b.in("phi"),
                                                     .index = b.view<std::int64_t>("index"),
                                                     .dy = b.in("dy"),
                                                     .dlog_det = with_log_det ? b.in("dlog_det") : View<const float>(),
                                                     .dx = b.out("dx"),
                                                     .draw = b.out("draw"),
                                                     .dphi = b.out("dphi"),
                                                     .shape = shape,
                                                     .inverse = inverse});
                      },
                  .reference = gradient_of({.forward = forward_of(size, inverse),
                                            .outputs = outputs,
                                            .inputs = {{"x", "dx"}, {"raw", "draw"}, {"phi", "dphi"}},
                                            .step = 1e-6}),
                  .tolerance = 1e-4,
                  .norm_tolerance = 5e-5,
                  .bytes = 8 * read + 24 * moved,
                  .flops = 120.0 * moved * bins,
                  .bench = bench});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const Size& size : {Size{0, 2, 1, 4}, Size{5, 3, 0, 4}, Size{11, 2, 1, 8}, Size{5, 5, 3, 2}})
    for (const bool inverse : {false, true}) add_cases(list, size, inverse, true, false);
  add_cases(list, {2, 35, 18, 5}, false, true, false);
  add_cases(list, {13, 3, 2, 7}, false, false, false);
  add_cases(list, {4096, 2, 1, 16}, false, true, true);
  add_cases(list, {4096, 2, 1, 16}, true, true, true);
  add_cases(list, {256, 64, 32, 8}, false, true, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
