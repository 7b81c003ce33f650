#include "kernels/reduce.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

void add(std::vector<Case>& list, Reduction reduction, std::int64_t B, std::int64_t d, bool bench) {
  const double n = static_cast<double>(B * d);
  const bool squares = reduction == Reduction::sum_of_squares;
  // A lone sum may cancel to nothing, and then has no relative error to speak of: few sums are of positive numbers.
  const Fill fill = B < 4 ? Fill::uniform(0.5, 1.5) : Fill::normal();
  list.push_back(
      {.op = "reduce_rows",
       .variant = (squares ? "sum of squares " : "sum ") + label({B, d}),
       .buffers = {{"x", Role::input, {B, d}, DType::float32, fill}, {"y", Role::output, {B}}},
       .run = [=](Stream& s,
                  const Buffers& b) { reduce_rows(s, {.x = b.in("x"), .y = b.out("y"), .reduction = reduction}); },
       .reference =
           [=](Values& v) {
             for (std::size_t i = 0; i < v["y"].size(); ++i) {
               v["y"][i] = 0;
               for (std::size_t j = 0; j < static_cast<std::size_t>(d); ++j) {
                 const double x = v["x"][i * static_cast<std::size_t>(d) + j];
                 v["y"][i] += squares ? x * x : x;
               }
             }
           },
       .tolerance = 1e-6,
       .bytes = 4 * n,
       .flops = n,
       .bench = bench});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (Reduction reduction : {Reduction::sum, Reduction::sum_of_squares}) {
    for (const auto& [B, d] : odd_shapes()) add(list, reduction, B, d, false);
    for (const auto& [B, d] : {std::pair<std::int64_t, std::int64_t>{3, 1031}, {301, 5}, {131, 67}})
      add(list, reduction, B, d, false);  // a block a row; several rows a block
    add(list, reduction, 4096, 784, true);
  }
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
