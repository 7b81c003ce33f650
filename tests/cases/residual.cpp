#include "kernels/residual.h"

#include <cmath>

#include "tests/cases/case.h"
#include "tests/cases/reference_time_function.h"

namespace otnfm::cases {
namespace {

Reference forward(TimeFunctionKind kind, std::int64_t B, std::int64_t d, std::int64_t K) {
  return [=](Values& v) {
    for (std::int64_t b = 0; b < B; ++b)
      for (std::int64_t j = 0; j < d; ++j) {
        const std::size_t at = static_cast<std::size_t>(b * d + j);
        v["y"][at] = v["x"][at] + time_function_at(kind, v["w"].data() + j, d, K, v["t"][b]) * v["g"][at];
      }
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](TimeFunctionKind kind, std::int64_t B, std::int64_t d, bool bench) {
    const std::int64_t K = kind == TimeFunctionKind::identity ? 0 : (is_fourier(kind) ? 2 : 1);
    const double n = static_cast<double>(B * d);
    // Where there are few numbers, of one sign: an error is relative to the root mean square, which must not be near 0.
    const Fill weights = d < 4 ? Fill::uniform(0.2, 1.5) : Fill::uniform(-1.5, 1.5);
    const Fill values = d < 4 ? Fill::uniform(0.5, 1.5) : Fill::normal();
    const Buffer t = {"t", Role::input, {B}, DType::float32, Fill::uniform(0, 1)};
    const Buffer w = {"w", Role::input, {K, d}, DType::float32, weights, false};
    const Buffer g = {"g", Role::input, {B, d}, DType::float32, values};
    const std::string variant = std::string(name_of(kind)) + " " + label({B, d});
    list.push_back(
        {.op = "residual",
         .variant = variant,
         .buffers = {t, w, {"x", Role::input, {B, d}, DType::float32, terms(B * d)}, g, {"y", Role::output, {B, d}}},
         .run =
             [=](Stream& s, const Buffers& b) {
               residual(
                   s, {.t = b.in("t"), .w = b.in("w"), .x = b.in("x"), .g = b.in("g"), .y = b.out("y"), .kind = kind});
             },
         .reference = forward(kind, B, d, K),
         .bytes = 12 * n,
         .flops = 27 * n,
         .bench = bench});
    Gradient gradient = {.forward = forward(kind, B, d, K), .outputs = {{"y", "dy"}}, .inputs = {{"g", "dg"}}};
    std::vector<Buffer> buffers = {t,
                                   w,
                                   {"x", Role::input, {B, d}},
                                   g,
                                   {"dy", Role::input, {B, d}, DType::float32, values},
                                   {"dg", Role::output, {B, d}}};
    if (K > 0) {
      gradient.inputs.emplace_back("w", "dw");
      buffers.push_back({"dw", Role::output, {K, d}, DType::float32, {}, false});
    }
    list.push_back({.op = "residual_backward",
                    .variant = variant,
                    .buffers = buffers,
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          residual_backward(s, {.t = b.in("t"),
                                                .w = b.in("w"),
                                                .g = b.in("g"),
                                                .dy = b.in("dy"),
                                                .dg = b.out("dg"),
                                                .dw = K > 0 ? b.out("dw") : View<float>(),
                                                .kind = kind});
                        },
                    .reference = gradient_of(gradient),
                    .tolerance = 2e-6,
                    .bytes = 20 * n,
                    .flops = 60 * n,
                    .bench = bench});
  };
  for (int k = 0; k < 6; ++k) {
    const auto kind = static_cast<TimeFunctionKind>(k);
    for (const auto& [B, d] : odd_shapes())
      if (kind == TimeFunctionKind::tanh || B * d < 1500) add(kind, B, d, false);
  }
  add(TimeFunctionKind::tanh, 4096, 784, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
