#include "kernels/cross_entropy.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

Reference forward(std::int64_t B, std::int64_t K) {
  return [=](Values& v) {
    double loss = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      double sum = 0;
      for (std::int64_t k = 0; k < K; ++k) sum += std::exp(v["logits"][static_cast<std::size_t>(b * K + k)]);
      for (std::int64_t k = 0; k < K; ++k) {
        const auto at = static_cast<std::size_t>(b * K + k);
        loss -= v["target"][at] * (v["logits"][at] - std::log(sum));
      }
    }
    v["loss"][0] = B == 0 ? 0 : loss / static_cast<double>(B);
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t K, bool bench) {
    const Buffer logits{"logits", Role::input, {B, K}, DType::float32, Fill::uniform(-3, 3)};
    const Buffer target{"target", Role::input, {B, K}, DType::float32, Fill::uniform(0.1, 1)};
    const double n = static_cast<double>(B * K);
    list.push_back({.op = "cross_entropy",
                    .variant = label({B, K}),
                    .buffers = {logits, target, {"loss", Role::output, {1}}},
                    .run =
                        [](Stream& s, const Buffers& b) {
                          cross_entropy(s, {.logits = b.in("logits"), .target = b.in("target"), .loss = b.out("loss")});
                        },
                    .reference = forward(B, K),
                    .tolerance = 2e-6,
                    .norm_tolerance = 2e-6,
                    .bytes = 8 * n,
                    .flops = 20 * n,
                    .bench = bench});
    if (B * K < 20) return;  // a few shares may all be what they should be, and then have no relative error
    list.push_back({.op = "cross_entropy_backward",
                    .variant = label({B, K}),
                    .buffers = {logits,
                                target,
                                {"dloss", Role::input, {1}, DType::float32, Fill::uniform(0.5, 2)},
                                {"dlogits", Role::output, {B, K}}},
                    .run =
                        [](Stream& s, const Buffers& b) {
                          cross_entropy_backward(s, {.logits = b.in("logits"),
                                                     .target = b.in("target"),
                                                     .dloss = b.in("dloss"),
                                                     .dlogits = b.out("dlogits")});
                        },
                    .reference = gradient_of(
                        {.forward = forward(B, K), .outputs = {{"loss", "dloss"}}, .inputs = {{"logits", "dlogits"}}}),
                    .tolerance = 4e-6,
                    .norm_tolerance = 2e-6,
                    .bytes = 12 * n,
                    .flops = 40 * n,
                    .bench = bench});
  };
  add(0, 3, false);  // with one class the loss is 0, and has no relative error
  add(1, 2, false);
  add(7, 10, false);
  add(33, 31, false);
  add(301, 3, false);
  add(4096, 10, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
