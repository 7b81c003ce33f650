#include "kernels/select_columns.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, std::int64_t unused, bool bench) {
    const std::int64_t n = d - unused;
    const double bytes = 8.0 * static_cast<double>(B * (n + 1));
    list.push_back({.op = "select_columns",
                    .variant = label({B, d, n}),
                    .buffers = {{"x", Role::input, {B, d}},
                                {"index", Role::input, {d}, DType::int64, Fill::permutation()},
                                {"t", Role::input, {B}},
                                {"y", Role::output, {B, n + 1}}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          select_columns(s, {.x = b.in("x"),
                                             .index = b.view<std::int64_t>("index").row_slice(0, n),
                                             .t = b.in("t"),
                                             .y = b.out("y")});
                        },
                    .reference =
                        [=](Values& v) {
                          for (std::int64_t i = 0; i < B; ++i)
                            for (std::int64_t j = 0; j <= n; ++j)
                              v["y"][i * (n + 1) + j] =
                                  j == n ? v["t"][i] : v["x"][i * d + static_cast<std::int64_t>(v["index"][j])];
                        },
                    .same_on_every_backend = true,
                    .bytes = bytes,
                    .bench = bench});
    list.push_back(
        {.op = "select_columns_backward",
         .variant = label({B, d, n}),
         .buffers = {{"dy", Role::input, {B, n + 1}},
                     {"index", Role::input, {d}, DType::int64, Fill::permutation()},
                     {"dx", Role::output, {B, d}}},
         .run =
             [=](Stream& s, const Buffers& b) {
               select_columns_backward(
                   s, {.dy = b.in("dy"), .index = b.view<std::int64_t>("index").row_slice(0, n), .dx = b.out("dx")});
             },
         .reference =
             [=](Values& v) {
               v["dx"].assign(B * d, 0.0);
               for (std::int64_t i = 0; i < B; ++i)
                 for (std::int64_t j = 0; j < n; ++j)
                   v["dx"][i * d + static_cast<std::int64_t>(v["index"][j])] = v["dy"][i * (n + 1) + j];
             },
         .same_on_every_backend = true,
         .bytes = bytes,
         .bench = bench});
  };
  for (const auto& [B, d] : odd_shapes())
    if (d > 0) add(B, d, d / 2, false);
  add(31, 33, 0, false);
  add(4096, 784, 392, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
