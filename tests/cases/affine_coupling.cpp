#include "kernels/affine_coupling.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

struct Size {
  std::int64_t B, d, n;
};

Reference forward_of(Size size, double bound, bool inverse) {
  return [=](Values& v) {
    const auto& [B, d, n] = size;
    std::vector<double>& y = v["y"];
    y = v["x"];
    v["log_det"].assign(B, 0.0);
    for (std::int64_t i = 0; i < B; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double& moved = y[i * d + static_cast<std::int64_t>(v["index"][d - n + j])];
        const double l = bound * std::tanh(v["raw"][i * 2 * n + j] * v["phi_scale"][i * n + j] / bound);
        const double shift = v["raw"][i * 2 * n + n + j] * v["phi_shift"][i * n + j];
        moved = inverse ? (moved - shift) * std::exp(-l) : moved * std::exp(l) + shift;
        v["log_det"][i] += inverse ? -l : l;
      }
  };
}

void add_cases(std::vector<Case>& list, Size size, bool inverse, bool with_log_det, bool bench) {
  const auto& [B, d, n] = size;
  const float bound = 2;
  const std::string variant =
      std::string(inverse ? "inverse " : "") + (with_log_det ? "" : "without log_det ") + label({B, d, n});
  const std::vector<Buffer> inputs = {{"x", Role::input, {B, d}, DType::float32, terms(B * d)},
                                      {"raw", Role::input, {B, 2 * n}, DType::float32, terms(B * n)},
                                      {"phi_scale", Role::input, {B, n}, DType::float32, Fill::uniform(0.2, 1)},
                                      {"phi_shift", Role::input, {B, n}, DType::float32, Fill::uniform(0.2, 1)},
                                      {"index", Role::input, {d}, DType::int64, Fill::permutation()}};
  std::vector<Buffer> buffers = inputs;
  buffers.push_back({"y", Role::output, {B, d}});
  if (with_log_det) buffers.push_back({"log_det", Role::output, {B}});
  const double moved = static_cast<double>(B * n), kept = static_cast<double>(B * (d - n));
  list.push_back({.op = "affine_coupling",
                  .variant = variant,
                  .buffers = buffers,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        affine_coupling(s, {.x = b.in("x"),
                                            .raw = b.in("raw"),
                                            .phi_scale = b.in("phi_scale"),
                                            .phi_shift = b.in("phi_shift"),
                                            .index = b.view<std::int64_t>("index"),
                                            .y = b.out("y"),
                                            .log_det = with_log_det ? b.out("log_det") : View<float>(),
                                            .bound = bound,
                                            .inverse = inverse});
                      },
                  .reference = forward_of(size, bound, inverse),
                  .tolerance = 5e-6,  // e^l, and shifts that cancel
                  .bytes = 24 * moved + 8 * kept,
                  .flops = 40 * moved,
                  .bench = bench});
  buffers = inputs;
  buffers.push_back({"dy", Role::input, {B, d}, DType::float32, terms(B * d)});
  if (with_log_det) buffers.push_back({"dlog_det", Role::input, {B}, DType::float32, terms(B)});
  for (const auto& [name, columns] : {std::pair{"dx", d}, {"draw", 2 * n}, {"dphi_scale", n}, {"dphi_shift", n}})
    buffers.push_back({name, Role::output, {B, columns}});
  std::vector<std::pair<std::string, std::string>> outputs = {{"y", "dy"}};
  if (with_log_det) outputs.push_back({"log_det", "dlog_det"});
  list.push_back(
      {.op = "affine_coupling_backward",
       .variant = variant,
       .buffers = buffers,
       .run =
           [=](Stream& s, const Buffers& b) {
             affine_coupling_backward(s, {.x = b.in("x"),
                                          .raw = b.in("raw"),
                                          .phi_scale = b.in("phi_scale"),
                                          .phi_shift = b.in("phi_shift"),
                                          .index = b.view<std::int64_t>("index"),
                                          .dy = b.in("dy"),
                                          .dlog_det = with_log_det ? b.in("dlog_det") : View<const float>(),
                                          .dx = b.out("dx"),
                                          .draw = b.out("draw"),
                                          .dphi_scale = b.out("dphi_scale"),
                                          .dphi_shift = b.out("dphi_shift"),
                                          .bound = bound,
                                          .inverse = inverse});
           },
       .reference = gradient_of(
           {.forward = forward_of(size, bound, inverse),
            .outputs = outputs,
            .inputs = {{"x", "dx"}, {"raw", "draw"}, {"phi_scale", "dphi_scale"}, {"phi_shift", "dphi_shift"}}}),
       .tolerance = 1e-5,
       .norm_tolerance = 3e-6,
       .bytes = 44 * moved + 8 * kept,
       .flops = 60 * moved,
       .bench = bench});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const Size& size : {Size{0, 2, 1}, Size{5, 3, 0}, Size{1, 2, 1}, Size{131, 2, 1}, Size{31, 33, 17},
                           Size{7, 67, 33}, Size{3, 131, 65}})
    for (const bool inverse : {false, true}) add_cases(list, size, inverse, true, false);
  add_cases(list, {33, 5, 2}, false, false, false);
  add_cases(list, {4096, 2, 1}, false, true, true);
  add_cases(list, {4096, 784, 392}, false, true, true);
  add_cases(list, {4096, 784, 392}, true, true, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
