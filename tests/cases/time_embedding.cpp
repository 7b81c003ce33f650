#include "kernels/time_embedding.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t K, bool bench) {
    const double n = static_cast<double>(B * 2 * K);
    list.push_back(
        {.op = "time_embedding",
         .variant = label({B, 2 * K}),
         .buffers = {{"t", Role::input, {B}, DType::float32, Fill::uniform(0, 1)}, {"y", Role::output, {B, 2 * K}}},
         .run = [](Stream& s, const Buffers& b) { time_embedding(s, {.t = b.in("t"), .y = b.out("y")}); },
         .reference =
             [=](Values& v) {
               for (std::int64_t b = 0; b < B; ++b)
                 for (std::int64_t k = 0; k < K; ++k) {
                   const double angle = 1000 * v["t"][static_cast<std::size_t>(b)] *
                                        std::pow(10000.0, -static_cast<double>(k) / static_cast<double>(K));
                   v["y"][static_cast<std::size_t>(b * 2 * K + k)] = std::cos(angle);
                   v["y"][static_cast<std::size_t>(b * 2 * K + K + k)] = std::sin(angle);
                 }
             },
         // An angle of up to 1000 is rounded to 3e-5, and so is its sine.
         .tolerance = 1.5e-4,
         .norm_tolerance = 4e-5,
         .bytes = 4 * n,
         .flops = 30 * n,
         .bench = bench});
  };
  add(0, 4, false);
  add(1, 1, false);
  add(3, 0, false);
  add(31, 5, false);
  add(7, 64, false);
  add(128, 32, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
