#include "kernels/clamp.h"

#include <algorithm>
#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr float kLow = -0.5f, kHigh = 1.25f;

void clamped(Values& v) {
  const std::vector<double>& x = v["x"];
  std::vector<double>& y = v["y"];
  for (std::size_t k = 0; k < y.size(); ++k) y[k] = std::min(std::max(x[k], double{kLow}), double{kHigh});
}

/// Central differences would see both sides of a bound.
void away_from_the_bounds(Values& v, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  for (double& x : v["x"])
    while (std::min(std::abs(x - kLow), std::abs(x - kHigh)) < 1e-3) x = normal(random);
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, bool bench) {
    const double n = static_cast<double>(B * d);
    list.push_back(
        {.op = "clamp",
         .variant = label({B, d}),
         .buffers = {{"x", Role::input, {B, d}}, {"y", Role::output, {B, d}}},
         .run = [](Stream& s,
                   const Buffers& b) { clamp(s, {.x = b.in("x"), .y = b.out("y"), .low = kLow, .high = kHigh}); },
         .reference = clamped,
         .tolerance = 1e-7,
         .same_on_every_backend = true,
         .bytes = 8 * n,
         .flops = 2 * n,
         .bench = bench});
    list.push_back({.op = "clamp_backward",
                    .variant = label({B, d}),
                    .buffers = {{"x", Role::input, {B, d}}, {"dy", Role::input, {B, d}}, {"dx", Role::output, {B, d}}},
                    .run =
                        [](Stream& s, const Buffers& b) {
                          clamp_backward(
                              s, {.x = b.in("x"), .dy = b.in("dy"), .dx = b.out("dx"), .low = kLow, .high = kHigh});
                        },
                    .reference = gradient_of({.forward = clamped, .outputs = {{"y", "dy"}}, .inputs = {{"x", "dx"}}}),
                    .draw_again = away_from_the_bounds,
                    .tolerance = 1e-6,
                    .same_on_every_backend = true,
                    .bytes = 12 * n,
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
