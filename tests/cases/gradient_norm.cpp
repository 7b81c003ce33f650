#include "kernels/gradient_norm.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t n, float max_norm, bool bench) {
    list.push_back(
        {.op = "gradient_norm",
         .variant = label({n}) + " to " + std::to_string(max_norm),
         .buffers = {{"gradient", Role::input, {n}}, {"norm", Role::output, {1}}, {"clip_scale", Role::output, {1}}},
         .run =
             [=](Stream& s, const Buffers& b) {
               gradient_norm(s, {.gradient = b.in("gradient"),
                                 .norm = b.out("norm"),
                                 .clip_scale = b.out("clip_scale"),
                                 .max_norm = max_norm});
             },
         .reference =
             [=](Values& v) {
               double square = 0;
               for (double g : v["gradient"]) square += g * g;
               v["norm"][0] = std::sqrt(square);
               v["clip_scale"][0] = max_norm <= 0 || v["norm"][0] <= max_norm ? 1 : max_norm / v["norm"][0];
             },
         .tolerance = 2e-7,
         .bytes = 4.0 * static_cast<double>(n),
         .flops = 2.0 * static_cast<double>(n),
         .bench = bench});
  };
  for (std::int64_t n : {0, 1, 3, 31, 33, 257, 1031, 4096, 4099, 16411}) add(n, 1.0f, false);
  add(33, 0.0f, false);
  add(33, 1e6f, false);
  for (std::int64_t n : {13000, 4000000}) add(n, 1.0f, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
