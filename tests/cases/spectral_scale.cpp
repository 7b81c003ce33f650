#include "kernels/spectral_scale.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

/// sigma is a number of its own here.
void forward(Values& v, double target) {
  const double sigma = v["sigma"][0], factor = sigma > target ? target / sigma : 1.0;
  for (std::size_t i = 0; i < v["w"].size(); ++i) v["y"][i] = factor * v["w"][i];
}

/// sigma = s + u^T (w - w0) v: what it is to first order in w, with its value at w0 given.
Reference through_sigma(double target) {
  return [=](Values& v) {
    const std::vector<double> w0 = v["w"];
    const Reference reference =
        gradient_of({.forward =
                         [=](Values& trial) {
                           const std::size_t n = trial["v"].size();
                           double sigma = trial["sigma"][0];
                           for (std::size_t i = 0; i < w0.size(); ++i)
                             sigma += trial["u"][i / n] * (trial["w"][i] - w0[i]) * trial["v"][i % n];
                           Values moved = {{"w", trial["w"]}, {"sigma", {sigma}}, {"y", w0}};
                           forward(moved, target);
                           trial["y"] = moved["y"];
                         },
                     .outputs = {{"y", "dy"}},
                     .inputs = {{"w", "dw"}}});
    reference(v);
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t r, std::int64_t c, float target, const char* which, bool bench) {
    const double n = static_cast<double>(r * c);
    const Buffer sigma{"sigma", Role::input, {1}, DType::float32, Fill::uniform(1.1, 3)};
    list.push_back({.op = "spectral_scale",
                    .variant = std::string(which) + label({r, c}),
                    .buffers = {{"w", Role::input, {r, c}}, sigma, {"y", Role::output, {r, c}}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          spectral_scale(s,
                                         {.w = b.in("w"), .sigma = b.in("sigma"), .y = b.out("y"), .target = target});
                        },
                    .reference = [=](Values& v) { forward(v, target); },
                    .bytes = 8 * n,
                    .flops = n,
                    .bench = bench});
    list.push_back({.op = "spectral_scale_backward",
                    .variant = std::string(which) + label({r, c}),
                    .buffers = {{"w", Role::input, {r, c}, DType::float32, terms(r * c)},
                                {"u", Role::input, {r}, DType::float32, Fill::uniform(-0.3, 0.3)},
                                {"v", Role::input, {c}, DType::float32, Fill::uniform(-0.3, 0.3)},
                                sigma,
                                {"dy", Role::input, {r, c}, DType::float32, terms(r * c)},
                                {"dw", Role::output, {r, c}}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          spectral_scale_backward(s, {.w = b.in("w"),
                                                      .u = b.in("u"),
                                                      .v = b.in("v"),
                                                      .sigma = b.in("sigma"),
                                                      .dy = b.in("dy"),
                                                      .dw = b.out("dw"),
                                                      .target = target});
                        },
                    .reference = through_sigma(target),
                    .tolerance = 1e-5,
                    .bytes = 20 * n,
                    .flops = 5 * n,
                    .bench = bench});
  };
  for (const auto& [r, c] : odd_shapes()) add(r, c, 0.97f, "", false);
  add(31, 33, 4.0f, "below the target ", false);
  add(64, 64, 0.97f, "", true);
  add(512, 784, 0.97f, "", true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
