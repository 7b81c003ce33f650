#include "kernels/time_weight.h"

#include <algorithm>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr float kLowest = 0.25f;  // a quarter of the draws lies below it

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, bool bench) {
    const double n = static_cast<double>(B);
    list.push_back(
        {.op = "time_weight",
         .variant = label({B}),
         .buffers = {{"t", Role::input, {B}, DType::float32, Fill::uniform(0, 1)}, {"weight", Role::output, {B}}},
         .run =
             [](Stream& s, const Buffers& b) {
               time_weight(s, {.t = b.in("t"), .weight = b.out("weight"), .lowest = kLowest});
             },
         .reference =
             [](Values& v) {
               for (std::size_t i = 0; i < v["t"].size(); ++i) {
                 const double t = std::max(v["t"][i], double{kLowest});
                 v["weight"][i] = 1 / (t * t);
               }
             },
         .tolerance = 3e-7,
         .bytes = 8 * n,
         .flops = 2 * n,
         .bench = bench});
  };
  for (std::int64_t B : {0, 1, 31, 32, 33, 257, 1009}) add(B, false);
  add(4096, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
