#include "kernels/reduce.h"

#include <algorithm>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr const char* kNames[] = {"sum", "mean", "sum of squares", "max"};

/// Row `line` or column `line` of x, as offsets.
std::vector<std::size_t> offsets(std::int64_t B, std::int64_t d, bool rows, std::int64_t line) {
  std::vector<std::size_t> list;
  for (std::int64_t k = 0; k < (rows ? d : B); ++k)
    list.push_back(static_cast<std::size_t>(rows ? line * d + k : k * d + line));
  return list;
}

Reference forward_of(Reduction reduction, std::int64_t B, std::int64_t d, bool rows) {
  return [=](Values& v) {
    const std::vector<double>& x = v["x"];
    for (std::size_t line = 0; line < v["y"].size(); ++line) {
      const std::vector<std::size_t> at = offsets(B, d, rows, static_cast<std::int64_t>(line));
      double sum = 0, squares = 0, best = at.empty() ? 0 : x[at[0]];
      for (std::size_t k : at) {
        sum += x[k];
        squares += x[k] * x[k];
        best = std::max(best, x[k]);
      }
      const double mean = at.empty() ? 0 : sum / static_cast<double>(at.size());
      v["y"][line] = reduction == Reduction::sum              ? sum
                     : reduction == Reduction::mean           ? mean
                     : reduction == Reduction::sum_of_squares ? squares
                                                              : best;
    }
  };
}

/// The gradient of a maximum goes to the first of equal ones, which differences cannot tell.
Reference first_maximum(std::int64_t B, std::int64_t d, bool rows) {
  return [=](Values& v) {
    std::fill(v["dx"].begin(), v["dx"].end(), 0.0);
    for (std::size_t line = 0; line < v["dy"].size(); ++line) {
      const std::vector<std::size_t> at = offsets(B, d, rows, static_cast<std::int64_t>(line));
      const auto first =
          std::max_element(at.begin(), at.end(), [&](std::size_t a, std::size_t b) { return v["x"][a] < v["x"][b]; });
      if (first != at.end()) v["dx"][*first] = v["dy"][line];
    }
  };
}

void add_forward(std::vector<Case>& list, Reduction reduction, std::int64_t B, std::int64_t d, bool rows, bool bench) {
  const double n = static_cast<double>(B * d);
  // A lone sum may cancel to nothing, and then has no relative error to speak of: few sums are of positive numbers.
  const Fill fill = (rows ? B : d) < 4 ? Fill::uniform(0.5, 1.5) : Fill::normal();
  list.push_back({.op = rows ? "reduce_rows" : "reduce_columns",
                  .variant = std::string(kNames[static_cast<int>(reduction)]) + " " + label({B, d}),
                  .buffers = {{"x", Role::input, {B, d}, DType::float32, fill}, {"y", Role::output, {rows ? B : d}}},
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        if (rows)
                          reduce_rows(s, {.x = b.in("x"), .y = b.out("y"), .reduction = reduction});
                        else
                          reduce_columns(s, {.x = b.in("x"), .y = b.out("y"), .reduction = reduction});
                      },
                  .reference = forward_of(reduction, B, d, rows),
                  .tolerance = reduction == Reduction::max ? 0 : 1e-6,
                  .bytes = 4 * n,
                  .flops = n,
                  .bench = bench});
}

void add_backward(std::vector<Case>& list, Reduction reduction, std::int64_t B, std::int64_t d, bool rows, bool ties,
                  bool bench) {
  const double n = static_cast<double>(B * d);
  list.push_back(
      {.op = rows ? "reduce_rows_backward" : "reduce_columns_backward",
       .variant = std::string(kNames[static_cast<int>(reduction)]) + (ties ? " with ties " : " ") + label({B, d}),
       .buffers = {{"x", Role::input, {B, d}, DType::float32, ties ? Fill::integers(0, 5) : Fill::normal()},
                   {"dy", Role::input, {rows ? B : d}},
                   {"dx", Role::output, {B, d}}},
       .run =
           [=](Stream& s, const Buffers& b) {
             if (rows)
               reduce_rows_backward(s, {.x = b.in("x"), .dy = b.in("dy"), .dx = b.out("dx"), .reduction = reduction});
             else
               reduce_columns_backward(s,
                                       {.x = b.in("x"), .dy = b.in("dy"), .dx = b.out("dx"), .reduction = reduction});
           },
       .reference = ties ? first_maximum(B, d, rows)
                         : gradient_of({.forward = forward_of(reduction, B, d, rows),
                                        .outputs = {{"y", "dy"}},
                                        .inputs = {{"x", "dx"}},
                                        // so short that no maximum changes hands
                                        .step = reduction == Reduction::max ? 1e-8 : 1e-5}),
       .tolerance = ties ? 0 : (reduction == Reduction::max ? 1e-5 : 1e-6),
       .bytes = 8 * n,
       .flops = n,
       .bench = bench});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (bool rows : {true, false}) {
    for (Reduction reduction : {Reduction::sum, Reduction::mean, Reduction::sum_of_squares, Reduction::max}) {
      const bool maximum = reduction == Reduction::max;
      for (const auto& [B, d] : odd_shapes()) {
        if (maximum && (rows ? d : B) == 0) continue;
        add_forward(list, reduction, B, d, rows, false);
        if (maximum) add_backward(list, reduction, B, d, rows, true, false);
      }
      for (const auto& [B, d] : {std::pair<std::int64_t, std::int64_t>{3, 1031}, {301, 5}, {131, 67}}) {
        add_forward(list, reduction, B, d, rows, false);  // a block a row; several tiles
        if (maximum) add_backward(list, reduction, B, d, rows, true, false);
      }
      for (const auto& [B, d] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {13, 7}, {5, 36}})
        add_backward(list, reduction, B, d, rows, false, false);
      add_forward(list, reduction, 4096, 784, rows, true);
      add_backward(list, reduction, 4096, 784, rows, maximum, true);
    }
    add_backward(list, Reduction::sum, 0, 5, rows, false, false);
    add_backward(list, Reduction::mean, 5, 0, rows, false, false);
  }
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
