#include "kernels/concat.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t m, std::int64_t n, bool bench) {
    const std::size_t before = list.size();
    const std::size_t left = static_cast<std::size_t>(m), right = static_cast<std::size_t>(n);
    const double bytes = 8.0 * static_cast<double>(B * (m + n));
    list.push_back(
        {.op = "concat_columns",
         .variant = label({B, m, n}),
         .buffers = {{"a", Role::input, {B, m}}, {"b", Role::input, {B, n}}, {"y", Role::output, {B, m + n}}},
         .run =
             [](Stream& s, const Buffers& b) {
               concat_columns(s, {.a = b.stored("a"), .b = b.stored("b"), .y = b.stored("y")});
             },
         .reference =
             [=](Values& v) {
               std::vector<double>& y = v["y"];
               y.clear();
               for (std::size_t i = 0; i < static_cast<std::size_t>(B); ++i) {
                 y.insert(y.end(), v["a"].begin() + i * left, v["a"].begin() + (i + 1) * left);
                 y.insert(y.end(), v["b"].begin() + i * right, v["b"].begin() + (i + 1) * right);
               }
             },
         .tolerance = 0,
         .same_on_every_backend = true,
         .bytes = bytes,
         .bench = bench});
    // Both parts, or one only, the other's memory being absent.
    for (const char* wanted : {"ab", "a", "b"}) {
      const bool want_a = wanted[0] == 'a', want_b = wanted[0] == 'b' || wanted[1] == 'b';
      std::vector<Buffer> buffers = {{"y", Role::input, {B, m + n}}};
      if (want_a) buffers.push_back({"a", Role::output, {B, m}});
      if (want_b) buffers.push_back({"b", Role::output, {B, n}});
      list.push_back({.op = "split_columns",
                      .variant = std::string(wanted) + " " + label({B, m, n}),
                      .buffers = buffers,
                      .run =
                          [=](Stream& s, const Buffers& b) {
                            const View<Stored> y = b.stored("y");
                            split_columns(s, {.y = y,
                                              .a = want_a ? b.stored("a") : View<Stored>(nullptr, y.dtype, {B, m}),
                                              .b = want_b ? b.stored("b") : View<Stored>(nullptr, y.dtype, {B, n})});
                          },
                      .reference =
                          [=](Values& v) {
                            for (std::size_t k = 0; k < v["y"].size(); ++k) {
                              const std::size_t i = k / (left + right), j = k % (left + right);
                              if (j < left && want_a) v["a"][i * left + j] = v["y"][k];
                              if (j >= left && want_b) v["b"][i * right + j - left] = v["y"][k];
                            }
                          },
                      .tolerance = 0,
                      .same_on_every_backend = true,
                      .bytes = want_a && want_b ? bytes : 8.0 * static_cast<double>(B * (want_a ? m : n)),
                      .bench = bench});
    }
    if (bench || m == n / 2)
      for (std::size_t k = before, end = list.size(); k < end; ++k)
        list.push_back(in_bfloat16(list[k], {"a", "b", "y"})), list.back().tolerance = list.back().norm_tolerance = 0;
    const auto broadcast_from = [&](bool column) {
      list.push_back({.op = "broadcast",
                      .variant = (column ? "column " : "row ") + label({B, n}),
                      .buffers = {{"x", Role::input, {column ? B : 1, column ? 1 : n}}, {"y", Role::output, {B, n}}},
                      .run = [](Stream& s, const Buffers& b) { broadcast(s, {.x = b.in("x"), .y = b.out("y")}); },
                      .reference =
                          [=](Values& v) {
                            for (std::size_t k = 0; k < v["y"].size(); ++k)
                              v["y"][k] = v["x"][column ? k / right : k % right];
                          },
                      .tolerance = 0,
                      .same_on_every_backend = true,
                      .bytes = 4.0 * static_cast<double>(B * n),
                      .bench = bench});
    };
    broadcast_from(true);
    broadcast_from(false);
  };
  for (const auto& [B, d] : odd_shapes()) add(B, 1, d, false);
  add(31, 33, 5, false);
  add(3, 0, 7, false);
  add(3, 4, 8, false);
  add(4096, 784, 1, true);
  add(256, 2, 1, true);
  add(64 * 14 * 14, 64, 32, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
