#include "kernels/fill.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, bool bench) {
    list.push_back({.op = "fill",
                    .variant = label({B, d}),
                    .buffers = {{"y", Role::output, {B, d}}},
                    .run = [](Stream& s, const Buffers& b) { fill(s, {.y = b.out("y"), .value = -1.5f}); },
                    .reference =
                        [](Values& v) {
                          for (double& y : v["y"]) y = -1.5;
                        },
                    .tolerance = 0,
                    .same_on_every_backend = true,
                    .bytes = 4.0 * static_cast<double>(B * d),
                    .bench = bench});
  };
  for (const auto& [B, d] : odd_shapes()) add(B, d, false);
  add(4096, 784, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
