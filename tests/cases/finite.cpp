#include "kernels/finite.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, Fill fill, const char* what, bool bench) {
    list.push_back(
        {.op = "count_nonfinite",
         .variant = what + label({B, d}),
         .buffers = {{"x", Role::input, {B, d}, DType::float32, fill}, {"count", Role::output, {1}, DType::uint64}},
         .run =
             [](Stream& s, const Buffers& b) {
               count_nonfinite(s, {.x = b.stored("x"), .count = b.view<std::uint64_t>("count")});
             },
         .reference =
             [](Values& v) {
               v["count"][0] = 0;
               for (double x : v["x"])
                 if (!std::isfinite(x)) v["count"][0] += 1;
             },
         .tolerance = 0,
         .same_on_every_backend = true,
         .bytes = 4.0 * static_cast<double>(B * d),
         .bench = bench});
    list.push_back(in_bfloat16(list.back(), {"x"}));
  };
  for (const auto& [B, d] : odd_shapes()) {
    add(B, d, Fill::normal(), "none ", false);
    add(B, d, Fill::uniform(-1e39, 1e39), "some ", false);  // two thirds are infinite as floats
  }
  add(4096, 784, Fill::normal(), "none ", true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
