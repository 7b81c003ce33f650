#include "kernels/gather.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t n, std::int64_t B, std::int64_t d, bool bench) {
    const std::size_t width = static_cast<std::size_t>(d);
    list.push_back({.op = "gather_rows",
                    .variant = label({n, B, d}),
                    .buffers = {{"x", Role::input, {n, d}},
                                {"index", Role::input, {B}, DType::int64, Fill::integers(0, static_cast<double>(n))},
                                {"y", Role::output, {B, d}}},
                    .run =
                        [](Stream& s, const Buffers& b) {
                          gather_rows(s,
                                      {.x = b.in("x"), .index = b.view<const std::int64_t>("index"), .y = b.out("y")});
                        },
                    .reference =
                        [=](Values& v) {
                          for (std::size_t k = 0; k < v["y"].size(); ++k)
                            v["y"][k] = v["x"][static_cast<std::size_t>(v["index"][k / width]) * width + k % width];
                        },
                    .tolerance = 0,
                    .same_on_every_backend = true,
                    .bytes = static_cast<double>(B) * (8.0 * static_cast<double>(d) + 8.0),
                    .bench = bench});
  };
  for (const auto& [B, d] : odd_shapes()) add(11, B, d, false);
  add(1, 5, 3, false);
  add(40, 33, 64, false);
  add(60000, 256, 784, true);
  add(16384, 256, 2, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
