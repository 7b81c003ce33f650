#include "kernels/residual.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

void forward(Values& v) {
  for (std::size_t i = 0; i < v["y"].size(); ++i) v["y"][i] = v["x"][i] + v["phi"][i] * v["g"][i];
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, bool bench) {
    const double n = static_cast<double>(B * d);
    list.push_back({.op = "residual",
                    .variant = label({B, d}),
                    .buffers = {{"x", Role::input, {B, d}, DType::float32, terms(B * d)},
                                {"phi", Role::input, {B, d}, DType::float32, terms(B * d)},
                                {"g", Role::input, {B, d}, DType::float32, terms(B * d)},
                                {"y", Role::output, {B, d}}},
                    .run =
                        [](Stream& s, const Buffers& b) {
                          residual(s, {.x = b.in("x"), .phi = b.in("phi"), .g = b.in("g"), .y = b.out("y")});
                        },
                    .reference = forward,
                    .bytes = 16 * n,
                    .flops = 2 * n,
                    .bench = bench});
    list.push_back(
        {.op = "residual_backward",
         .variant = label({B, d}),
         .buffers = {{"x", Role::input, {B, d}},
                     {"phi", Role::input, {B, d}},
                     {"g", Role::input, {B, d}},
                     {"dy", Role::input, {B, d}},
                     {"dphi", Role::output, {B, d}},
                     {"dg", Role::output, {B, d}}},
         .run =
             [](Stream& s, const Buffers& b) {
               residual_backward(
                   s, {.phi = b.in("phi"), .g = b.in("g"), .dy = b.in("dy"), .dphi = b.out("dphi"), .dg = b.out("dg")});
             },
         .reference =
             gradient_of({.forward = forward, .outputs = {{"y", "dy"}}, .inputs = {{"phi", "dphi"}, {"g", "dg"}}}),
         .tolerance = 1e-6,
         .bytes = 20 * n,
         .flops = 2 * n,
         .bench = bench});
  };
  for (const auto& [B, d] : odd_shapes()) add(B, d, false);
  add(4096, 784, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
