#include "kernels/attention.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

struct Sizes {
  std::int64_t B, N, C, heads;
};

Reference forward(const Sizes& n) {
  return [n](Values& v) {
    const std::int64_t D = n.C / n.heads;
    const double scale = 1 / std::sqrt(static_cast<double>(D));
    for (std::int64_t b = 0; b < n.B; ++b)
      for (std::int64_t h = 0; h < n.heads; ++h)
        for (std::int64_t i = 0; i < n.N; ++i) {
          const double* rows = v["qkv"].data() + b * n.N * 3 * n.C + h * D;
          std::vector<double> weights(static_cast<std::size_t>(n.N));
          double sum = 0;
          for (std::int64_t j = 0; j < n.N; ++j) {
            double dot = 0;
            for (std::int64_t e = 0; e < D; ++e) dot += rows[i * 3 * n.C + e] * rows[j * 3 * n.C + n.C + e];
            sum += weights[static_cast<std::size_t>(j)] = std::exp(dot * scale);
          }
          double* y = v["y"].data() + (b * n.N + i) * n.C + h * D;
          for (std::int64_t e = 0; e < D; ++e) {
            y[e] = 0;
            for (std::int64_t j = 0; j < n.N; ++j)
              y[e] += weights[static_cast<std::size_t>(j)] / sum * rows[j * 3 * n.C + 2 * n.C + e];
          }
          if (v.count("log_sum") != 0)
            v["log_sum"][static_cast<std::size_t>((b * n.heads + h) * n.N + i)] = std::log(sum);
        }
  };
}

void add_cases(std::vector<Case>& list, const Sizes& n, bool bench) {
  const std::vector<std::int64_t> wide = {n.B, n.N, 3 * n.C}, narrow = {n.B, n.N, n.C};
  const double size = static_cast<double>(n.B * n.N * n.C), products = size * static_cast<double>(n.N);
  const std::string variant = label({n.B, n.N, n.C}) + " in " + std::to_string(n.heads) + " heads";
  const std::size_t before = list.size();
  const Buffer qkv{"qkv", Role::input, wide};
  list.push_back({.op = "attention",
                  .variant = variant,
                  .buffers = {qkv, {"y", Role::output, narrow}, {"log_sum", Role::output, {n.B, n.heads, n.N}}},
                  .run =
                      [](Stream& s, const Buffers& b) {
                        attention(s, {.qkv = b.stored("qkv"), .y = b.stored("y"), .log_sum = b.out("log_sum")});
                      },
                  .reference = forward(n),
                  .tolerance = 4e-6,
                  .bytes = 16 * size,
                  .flops = 4 * products,
                  .bench = bench});
  list.push_back(
      {.op = "attention_backward",
       .variant = variant,
       .buffers = {qkv,
                   {"y", Role::input, narrow},
                   {"log_sum", Role::input, {n.B, n.heads, n.N}},
                   {"dy", Role::input, narrow, DType::float32, terms(n.C)},
                   {"dqkv", Role::output, wide}},
       .run =
           [](Stream& s, const Buffers& b) {
             attention_backward(s, {.qkv = b.stored("qkv"),
                                    .y = b.stored("y"),
                                    .log_sum = b.in("log_sum"),
                                    .dy = b.stored("dy"),
                                    .dqkv = b.stored("dqkv")});
           },
       .reference =
           [=](Values& values) {
             gradient_of({.forward = forward(n), .outputs = {{"y", "dy"}}, .inputs = {{"qkv", "dqkv"}}})(values);
           },
       // y and log_sum are what the forward gives.
       .draw_again = [=](Values& values, std::mt19937_64&) { forward(n)(values); },
       .tolerance = 1e-5,
       .norm_tolerance = 2e-6,
       .bytes = 32 * size,
       .flops = 10 * products,
       .bench = bench});
  if (bench || n.C > 3)
    for (std::size_t k = before, end = list.size(); k < end; ++k) {
      list.push_back(in_bfloat16(list[k], {"qkv", "y", "dy", "dqkv"}));
      // y is rounded, and the gradients are made from it: a second rounding of numbers that partly cancel.
      if (list[k].op == "attention_backward") list.back().tolerance = 4e-2, list.back().norm_tolerance = 2e-2;
    }
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const Sizes sizes[] = {{0, 4, 4, 1},  {1, 1, 1, 1},   {1, 3, 2, 1},   {2, 5, 6, 3},  {1, 9, 8, 2},
                         {2, 33, 4, 2}, {1, 17, 33, 1}, {1, 16, 64, 1}, {1, 5, 130, 1}};
  for (const Sizes& n : sizes) add_cases(list, n, false);
  add_cases(list, {64, 49, 64, 1}, true);
  add_cases(list, {64, 49, 64, 4}, true);
  add_cases(list, {32, 256, 128, 1}, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
