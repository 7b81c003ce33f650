#include "kernels/elementwise.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr float kAlpha = -0.7f, kBeta = 1.3f;

void sum(Values& v) {
  const std::vector<double>&a = v["a"], &b = v["b"];
  std::vector<double>& y = v["y"];
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = a[i] + b[i];
}

void product(Values& v) {
  const std::vector<double>&a = v["a"], &b = v["b"];
  std::vector<double>& y = v["y"];
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = a[i] * b[i];
}

void multiple(Values& v) {
  for (std::size_t i = 0; i < v["y"].size(); ++i) v["y"][i] = double{kAlpha} * v["x"][i];
}

void combination(Values& v) {
  for (std::size_t i = 0; i < v["y"].size(); ++i) v["y"][i] = double{kAlpha} * v["x"][i] + double{kBeta} * v["y"][i];
}

void add_cases(std::vector<Case>& list, std::int64_t B, std::int64_t d, bool bench) {
  const std::size_t before = list.size();
  const double n = static_cast<double>(B * d);
  const std::vector<Buffer> pair = {
      {"a", Role::input, {B, d}}, {"b", Role::input, {B, d}}, {"y", Role::output, {B, d}}};
  list.push_back(
      {.op = "add",
       .variant = label({B, d}),
       .buffers = pair,
       .run = [](Stream& s, const Buffers& b) { add(s, {.a = b.stored("a"), .b = b.stored("b"), .y = b.stored("y")}); },
       .reference = sum,
       .tolerance = 1e-7,
       .same_on_every_backend = true,
       .bytes = 12 * n,
       .flops = n,
       .bench = bench});
  list.push_back(
      {.op = "multiply",
       .variant = label({B, d}),
       .buffers = pair,
       .run = [](Stream& s,
                 const Buffers& b) { multiply(s, {.a = b.stored("a"), .b = b.stored("b"), .y = b.stored("y")}); },
       .reference = product,
       .tolerance = 1e-7,
       .same_on_every_backend = true,
       .bytes = 12 * n,
       .flops = n,
       .bench = bench});
  list.push_back(
      {.op = "multiply_backward",
       .variant = label({B, d}),
       .buffers = {{"a", Role::input, {B, d}},
                   {"b", Role::input, {B, d}},
                   {"dy", Role::input, {B, d}},
                   {"da", Role::output, {B, d}},
                   {"db", Role::output, {B, d}}},
       .run =
           [](Stream& s, const Buffers& b) {
             multiply_backward(s, {.a = b.stored("a"),
                                   .b = b.stored("b"),
                                   .dy = b.stored("dy"),
                                   .da = b.stored("da"),
                                   .db = b.stored("db")});
           },
       .reference = gradient_of({.forward = product, .outputs = {{"y", "dy"}}, .inputs = {{"a", "da"}, {"b", "db"}}}),
       .tolerance = 1e-6,
       .bytes = 20 * n,
       .flops = 2 * n,
       .bench = bench});
  list.push_back(
      {.op = "scale",
       .variant = label({B, d}),
       .buffers = {{"x", Role::input, {B, d}}, {"y", Role::output, {B, d}}},
       .run = [](Stream& s, const Buffers& b) { scale(s, {.x = b.stored("x"), .y = b.stored("y"), .factor = kAlpha}); },
       .reference = multiple,
       .tolerance = 1e-7,
       .same_on_every_backend = true,
       .bytes = 8 * n,
       .flops = n,
       .bench = bench});
  list.push_back(
      {.op = "axpby",
       .variant = label({B, d}),
       // kAlpha is negative, so that few terms of x are too: nothing cancels.
       .buffers = {{"x", Role::input, {B, d}, DType::float32, B * d < 64 ? Fill::uniform(-1.5, -0.5) : Fill::normal()},
                   {"y", Role::in_out, {B, d}, DType::float32, terms(B * d)}},
       .run =
           [](Stream& s, const Buffers& b) {
             axpby(s, {.x = b.stored("x"), .y = b.stored("y"), .alpha = kAlpha, .beta = kBeta});
           },
       .reference = combination,
       .tolerance = 3e-7,
       .bytes = 12 * n,
       .flops = 3 * n,
       .bench = bench});
  for (std::size_t k = before, end = list.size(); k < end; ++k)
    list.push_back(in_bfloat16(list[k], {"a", "b", "x", "y", "dy", "da", "db"}));
}

/// An output that is one of the inputs.
void add_in_place(std::vector<Case>& list, std::int64_t B, std::int64_t d) {
  list.push_back(
      {.op = "add",
       .variant = "in place " + label({B, d}),
       .buffers = {{"y", Role::in_out, {B, d}}, {"b", Role::input, {B, d}}},
       .run = [](Stream& s, const Buffers& b) { add(s, {.a = b.stored("y"), .b = b.stored("b"), .y = b.stored("y")}); },
       .reference =
           [](Values& v) {
             for (std::size_t i = 0; i < v["y"].size(); ++i) v["y"][i] += v["b"][i];
           },
       .tolerance = 1e-7});
  list.push_back({.op = "multiply",
                  .variant = "square in place " + label({B, d}),
                  .buffers = {{"y", Role::in_out, {B, d}}},
                  .run =
                      [](Stream& s, const Buffers& b) {
                        multiply(s, {b.stored("y"), b.stored("y"), b.stored("y")});
                      },
                  .reference =
                      [](Values& v) {
                        for (double& y : v["y"]) y *= y;
                      },
                  .tolerance = 1e-7});
  list.push_back(
      {.op = "multiply_backward",
       .variant = "in place " + label({B, d}),
       .buffers = {{"a", Role::in_out, {B, d}}, {"b", Role::in_out, {B, d}}, {"dy", Role::input, {B, d}}},
       .run =
           [](Stream& s, const Buffers& b) {
             multiply_backward(s, {b.stored("a"), b.stored("b"), b.stored("dy"), b.stored("a"), b.stored("b")});
           },
       .reference =
           [](Values& v) {
             for (std::size_t i = 0; i < v["a"].size(); ++i) {
               const double a = v["a"][i], b = v["b"][i];
               v["a"][i] = v["dy"][i] * b;
               v["b"][i] = v["dy"][i] * a;
             }
           },
       .tolerance = 1e-7});
  list.push_back(
      {.op = "scale",
       .variant = "in place " + label({B, d}),
       .buffers = {{"y", Role::in_out, {B, d}}},
       .run = [](Stream& s, const Buffers& b) { scale(s, {.x = b.stored("y"), .y = b.stored("y"), .factor = kAlpha}); },
       .reference =
           [](Values& v) {
             for (double& y : v["y"]) y *= double{kAlpha};
           },
       .tolerance = 1e-7});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const auto& [B, d] : odd_shapes()) add_cases(list, B, d, false);
  add_in_place(list, 7, 257);
  add_cases(list, 4096, 784, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
