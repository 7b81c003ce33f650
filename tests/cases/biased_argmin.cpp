#include "kernels/biased_argmin.h"

#include <limits>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

Reference nearest(std::int64_t N, std::int64_t d) {
  return [=](Values& v) {
    const std::size_t points = static_cast<std::size_t>(N), width = static_cast<std::size_t>(d);
    for (std::size_t i = 0; i < v["value"].size(); ++i) {
      double best = std::numeric_limits<double>::infinity(), at = -1;
      for (std::size_t j = 0; j < points; ++j) {
        double value = 0;
        for (std::size_t k = 0; k < width; ++k) {
          const double difference = v["x"][i * width + k] - v["points"][j * width + k];
          value += difference * difference;
        }
        value -= v["bias"][j];
        if (value < best) best = value, at = static_cast<double>(j);
      }
      v["value"][i] = best;
      if (v.contains("index")) v["index"][i] = at;
    }
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  // Of integers every value is exact, so the index is too, and there are many ties.
  const auto add = [&](std::int64_t B, std::int64_t N, std::int64_t d, Fill fill, bool bench) {
    const bool exact = fill.kind == Fill::Kind::integers;
    const double pairs = static_cast<double>(B) * static_cast<double>(N), width = static_cast<double>(d);
    list.push_back({.op = "biased_argmin",
                    .variant = label({B, N, d}) + (exact ? " exact" : ""),
                    .buffers = {{"x", Role::input, {B, d}, DType::float32, fill},
                                {"points", Role::input, {N, d}, DType::float32, fill},
                                {"bias", Role::input, {N}, DType::float32, fill},
                                {"index", Role::output, {B}, DType::int64},
                                {"value", Role::output, {B}}},
                    .run =
                        [](Stream& s, const Buffers& b) {
                          biased_argmin(s, {.x = b.in("x"),
                                            .points = b.in("points"),
                                            .bias = b.in("bias"),
                                            .index = b.view<std::int64_t>("index"),
                                            .value = b.out("value")});
                        },
                    .reference = nearest(N, d),
                    .tolerance = 0,
                    .same_on_every_backend = true,
                    .bytes = 4 * (static_cast<double>(B) * (width + 3) + static_cast<double>(N) * (width + 1)),
                    .flops = pairs * (2 * width + 1),
                    .bench = bench});
  };
  const Fill integers = Fill::integers(-6, 7);
  for (const auto& [B, N] : odd_shapes())
    for (std::int64_t d : {0, 1, 2, 3, 5, 16, 17, 33}) add(B, N, d, integers, false);
  add(131, 1031, 2, integers, false);
  add(3, 20011, 2, Fill::integers(-300, 300), false);
  add(67, 701, 41, integers, false);
  add(259, 67, 17, integers, false);
  add(2, 2113, 19, integers, false);
  add(256, 65536, 2, Fill::normal(), true);
  add(256, 60000, 784, Fill::normal(), true);
  add(2048, 60000, 64, Fill::normal(), true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
