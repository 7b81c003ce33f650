#include "kernels/interpolate.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

Reference forward_of(std::int64_t d) {
  return [=](Values& v) {
    const std::vector<double>&x0 = v["x0"], &x1 = v["x1"], &times = v["t"];
    std::vector<double>& xt = v["xt"];
    for (std::size_t k = 0; k < xt.size(); ++k) {
      const double t = times[k / static_cast<std::size_t>(d)];
      xt[k] = (1 - t) * x0[k] + t * x1[k];
    }
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, bool bench) {
    const double n = static_cast<double>(B * d);
    const Buffer t{"t", Role::input, {B}, DType::float32, Fill::uniform(0, 1)};
    list.push_back({.op = "interpolate",
                    .variant = label({B, d}),
                    .buffers = {{"x0", Role::input, {B, d}, DType::float32, terms(B * d)},
                                {"x1", Role::input, {B, d}, DType::float32, terms(B * d)},
                                t,
                                {"xt", Role::output, {B, d}}},
                    .run =
                        [](Stream& s, const Buffers& b) {
                          interpolate(s, {.x0 = b.in("x0"), .x1 = b.in("x1"), .t = b.in("t"), .xt = b.out("xt")});
                        },
                    .reference = forward_of(d),
                    .tolerance = 3e-7,
                    .bytes = 12 * n,
                    .flops = 3 * n,
                    .bench = bench});
    for (const char* wanted : {"dx0 dx1", "dx0", "dx1"}) {
      const bool want0 = std::string(wanted) != "dx1", want1 = std::string(wanted) != "dx0";
      // The forward's inputs belong to the reference alone: it is linear in them.
      std::vector<Buffer> buffers = {
          {"x0", Role::input, {B, d}}, {"x1", Role::input, {B, d}}, t, {"dxt", Role::input, {B, d}}};
      std::vector<std::pair<std::string, std::string>> inputs;
      if (want0) {
        buffers.push_back({"dx0", Role::output, {B, d}});
        inputs.emplace_back("x0", "dx0");
      }
      if (want1) {
        buffers.push_back({"dx1", Role::output, {B, d}});
        inputs.emplace_back("x1", "dx1");
      }
      list.push_back(
          {.op = "interpolate_backward",
           .variant = std::string(wanted) + " " + label({B, d}),
           .buffers = buffers,
           .run =
               [=](Stream& s, const Buffers& b) {
                 interpolate_backward(s, {.t = b.in("t"),
                                          .dxt = b.in("dxt"),
                                          .dx0 = want0 ? b.out("dx0") : View<float>(),
                                          .dx1 = want1 ? b.out("dx1") : View<float>()});
               },
           .reference = gradient_of({.forward = forward_of(d), .outputs = {{"xt", "dxt"}}, .inputs = inputs}),
           .tolerance = 1e-6,
           .bytes = (want0 && want1 ? 12 : 8) * n,
           .flops = (want0 && want1 ? 2 : 1) * n,
           .bench = bench});
    }
  };
  for (const auto& [B, d] : odd_shapes()) add(B, d, false);
  add(4096, 784, true);
  add(256, 2, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
