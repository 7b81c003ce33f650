#include "kernels/space_to_depth.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

void add_cases(std::vector<Case>& list, std::int64_t B, std::int64_t H, std::int64_t W, std::int64_t C, std::int64_t p,
               bool bench) {
  const std::vector<std::int64_t> space = {B, H, W, C}, depth = {B, H / p, W / p, p * p * C};
  const std::size_t before = list.size();
  for (const bool forth : {true, false}) {
    // Where number `at` of the space lies in the depth.
    const auto place = [=](std::int64_t at) {
      const std::int64_t c = at % C, j = at / C % W, i = at / C / W % H, b = at / C / W / H;
      return static_cast<std::size_t>((((b * (H / p) + i / p) * (W / p) + j / p) * p * p + (i % p) * p + j % p) * C +
                                      c);
    };
    list.push_back({.op = forth ? "space_to_depth" : "depth_to_space",
                    .variant = label({B, H, W, C}) + " by " + std::to_string(p),
                    .buffers = {{"x", Role::input, forth ? space : depth}, {"y", Role::output, forth ? depth : space}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          if (forth)
                            space_to_depth(s, {.x = b.stored("x"), .y = b.stored("y"), .patch = p});
                          else
                            depth_to_space(s, {.x = b.stored("x"), .y = b.stored("y"), .patch = p});
                        },
                    .reference =
                        [=](Values& v) {
                          for (std::int64_t at = 0; at < B * H * W * C; ++at)
                            v["y"][forth ? place(at) : static_cast<std::size_t>(at)] =
                                v["x"][forth ? static_cast<std::size_t>(at) : place(at)];
                        },
                    .tolerance = 0,
                    .same_on_every_backend = true,
                    .bytes = 8.0 * static_cast<double>(B * H * W * C),
                    .bench = bench});
  }
  if (bench || C > 3)
    for (std::size_t k = before, end = list.size(); k < end; ++k) list.push_back(in_bfloat16(list[k], {"x", "y"}));
}

std::vector<Case> cases() {
  std::vector<Case> list;
  add_cases(list, 0, 4, 4, 3, 2, false);
  add_cases(list, 1, 1, 1, 1, 1, false);
  add_cases(list, 2, 4, 6, 1, 2, false);
  add_cases(list, 3, 6, 3, 5, 3, false);
  add_cases(list, 2, 8, 4, 8, 4, false);
  add_cases(list, 128, 28, 28, 1, 2, true);
  add_cases(list, 64, 32, 32, 64, 2, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
