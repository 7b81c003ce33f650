#include "kernels/time_function.h"

#include <cmath>

#include "tests/cases/case.h"
#include "tests/cases/reference_time_function.h"

namespace otnfm::cases {
namespace {

Reference forward(TimeFunctionKind kind, std::int64_t B, std::int64_t d, std::int64_t K) {
  return [=](Values& v) {
    for (std::int64_t b = 0; b < B; ++b)
      for (std::int64_t j = 0; j < d; ++j)
        v["phi"][b * d + j] = time_function_at(kind, v["w"].data() + j, d, K, v["t"][b]);
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](TimeFunctionKind kind, std::int64_t B, std::int64_t d, std::int64_t K, bool bench) {
    const double n = static_cast<double>(B * d), terms = std::max(1.0, static_cast<double>(K) / 2);
    const std::string variant = std::string(name_of(kind)) + " " + label({B, d, K});
    // Where there are few numbers, of one sign: an error is relative to the root mean square, which must not be near 0.
    // A Fourier weight stays away from 0, where |a| has a kink, by the fill's being continuous.
    const Fill weights = d < 4 ? Fill::uniform(0.2, 1.5) : Fill::uniform(-1.5, 1.5);
    const Fill upstream = d < 4 ? Fill::uniform(0.5, 1.5) : Fill::normal();
    const Buffer t = {"t", Role::input, {B}, DType::float32, Fill::uniform(0, 1)};
    const Buffer w = {"w", Role::input, {K, d}, DType::float32, weights, false};
    list.push_back({.op = "time_function",
                    .variant = variant,
                    .buffers = {t, w, {"phi", Role::output, {B, d}}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          time_function(s, {.t = b.in("t"), .w = b.in("w"), .phi = b.out("phi"), .kind = kind});
                        },
                    .reference = forward(kind, B, d, K),
                    .tolerance = 1e-6,
                    .bytes = 4 * n,
                    .flops = 25 * n * terms,
                    .bench = bench});
    if (kind == TimeFunctionKind::identity) return;
    list.push_back(
        {.op = "time_function_backward",
         .variant = variant,
         .buffers = {t,
                     w,
                     {"dphi", Role::input, {B, d}, DType::float32, upstream},
                     {"dw", Role::output, {K, d}, DType::float32, {}, false}},
         .run =
             [=](Stream& s, const Buffers& b) {
               time_function_backward(
                   s, {.t = b.in("t"), .w = b.in("w"), .dphi = b.in("dphi"), .dw = b.out("dw"), .kind = kind});
             },
         .reference =
             gradient_of({.forward = forward(kind, B, d, K), .outputs = {{"phi", "dphi"}}, .inputs = {{"w", "dw"}}}),
         .tolerance = 2e-6,
         .bytes = 4 * n,
         .flops = 30 * n * terms,
         .bench = bench});
  };
  for (int k = 0; k < 6; ++k) {
    const auto kind = static_cast<TimeFunctionKind>(k);
    const bool fourier = kind == TimeFunctionKind::fourier || kind == TimeFunctionKind::bounded_fourier;
    const std::int64_t K = kind == TimeFunctionKind::identity ? 0 : (fourier ? 6 : 1);
    // Central differences cost B d^2 K^2: one Fourier term for the wide ones.
    for (const auto& [B, d] : odd_shapes()) add(kind, B, d, fourier && d > 40 ? 2 : K, false);
    add(kind, 70, 67, fourier ? 2 : K, false);
    if (fourier) add(kind, 33, 5, 2, false);
    add(kind, 256, 2, fourier ? 16 : K, true);
    add(kind, 256, 784, fourier ? 16 : K, true);
  }
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
