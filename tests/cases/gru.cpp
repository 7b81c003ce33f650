#include "kernels/gru.h"

#include <algorithm>
#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

constexpr float kAlpha = 0.4f, kBeta = 0.8f;

double gate(double z) {
  return 1 / (1 + std::exp(-z));
}

Reference reset_forward(double box, bool gated) {
  return [=](Values& v) {
    for (std::size_t i = 0; i < v["y"].size(); ++i) {
      const double h = std::clamp(v["x"][i], -box, box);
      v["y"][i] = gated ? static_cast<double>(kBeta) * gate(v["r"][i]) * h : h;
    }
  };
}

Reference gate_forward(double box) {
  return [=](Values& v) {
    for (std::size_t i = 0; i < v["y"].size(); ++i) {
      const double way = box * std::tanh(v["u"][i]) - std::clamp(v["x"][i], -box, box);
      v["y"][i] = v["x"][i] + v["phi"][i] * static_cast<double>(kAlpha) * gate(v["z"][i]) * way;
    }
  };
}

/// x keeps away from the faces of the box, where there is no derivative.
void add_cases(std::vector<Case>& list, std::int64_t B, std::int64_t d, const std::string& where, const Fill& x_fill,
               bool gated, bool bench) {
  const float box = 4;
  const double n = static_cast<double>(B * d);
  const std::string variant = where + (gated ? "" : "without a gate ") + label({B, d});
  const Buffer x{"x", Role::input, {B, d}, DType::float32, x_fill};
  const auto matrix = [&](const char* name, Role role) {
    return Buffer{name, role, {B, d}, DType::float32, role == Role::input ? terms(B * d) : Fill()};
  };
  std::vector<Buffer> forward = {x, matrix("y", Role::output)};
  std::vector<Buffer> backward = {x, matrix("dy", Role::input), matrix("dx", Role::output)};
  if (gated) {
    forward.push_back(matrix("r", Role::input));
    backward.push_back(matrix("r", Role::input));
    backward.push_back(matrix("dr", Role::output));
  }
  const std::vector<std::pair<std::string, std::string>> inputs = {{"x", "dx"}, {"r", "dr"}};
  list.push_back({.op = "gru_reset",
                  .variant = variant,
                  .buffers = forward,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        gru_reset(s, {.x = b.in("x"),
                                      .r = gated ? b.in("r") : View<const float>(),
                                      .y = b.out("y"),
                                      .box = box,
                                      .beta = kBeta});
                      },
                  .reference = reset_forward(box, gated),
                  .bytes = 12 * n,
                  .flops = 25 * n,
                  .bench = bench});
  list.push_back({.op = "gru_reset_backward",
                  .variant = variant,
                  .buffers = backward,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        gru_reset_backward(s, {.x = b.in("x"),
                                               .r = gated ? b.in("r") : View<const float>(),
                                               .dy = b.in("dy"),
                                               .dx = b.out("dx"),
                                               .dr = gated ? b.out("dr") : View<float>(),
                                               .box = box,
                                               .beta = kBeta});
                      },
                  .reference = gradient_of({.forward = reset_forward(box, gated),
                                            .outputs = {{"y", "dy"}},
                                            .inputs = {inputs.begin(), inputs.begin() + (gated ? 2 : 1)}}),
                  .tolerance = 2e-6,
                  .bytes = 20 * n,
                  .flops = 30 * n,
                  .bench = bench});
  if (!gated) return;
  const std::vector<Buffer> operands = {x, matrix("phi", Role::input), matrix("z", Role::input),
                                        matrix("u", Role::input)};
  forward = operands, backward = operands;
  forward.push_back(matrix("y", Role::output));
  backward.push_back(matrix("dy", Role::input));
  for (const char* name : {"dx", "dphi", "dz", "du"}) backward.push_back(matrix(name, Role::output));
  list.push_back({.op = "gru_gate",
                  .variant = variant,
                  .buffers = forward,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        gru_gate(s, {.x = b.in("x"),
                                     .phi = b.in("phi"),
                                     .z = b.in("z"),
                                     .u = b.in("u"),
                                     .y = b.out("y"),
                                     .box = box,
                                     .alpha = kAlpha});
                      },
                  .reference = gate_forward(box),
                  .tolerance = 2e-6,
                  .bytes = 20 * n,
                  .flops = 45 * n,
                  .bench = bench});
  list.push_back({.op = "gru_gate_backward",
                  .variant = variant,
                  .buffers = backward,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        gru_gate_backward(s, {.x = b.in("x"),
                                              .phi = b.in("phi"),
                                              .z = b.in("z"),
                                              .u = b.in("u"),
                                              .dy = b.in("dy"),
                                              .dx = b.out("dx"),
                                              .dphi = b.out("dphi"),
                                              .dz = b.out("dz"),
                                              .du = b.out("du"),
                                              .box = box,
                                              .alpha = kAlpha});
                      },
                  .reference = gradient_of({.forward = gate_forward(box),
                                            .outputs = {{"y", "dy"}},
                                            .inputs = {{"x", "dx"}, {"phi", "dphi"}, {"z", "dz"}, {"u", "du"}}}),
                  .tolerance = 5e-6,
                  .norm_tolerance = 2e-6,
                  .bytes = 36 * n,
                  .flops = 60 * n,
                  .bench = bench});
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const Fill inside = Fill::uniform(-3.9, 3.9), outside = Fill::uniform(4.1, 6);
  for (const auto& [B, d] : odd_shapes()) {
    if (B * d > 1100) continue;  // the reference takes the square of it
    add_cases(list, B, d, "", B * d < 64 ? Fill::uniform(0.5, 1.5) : inside, true, false);
  }
  add_cases(list, 31, 33, "outside the box ", outside, true, false);
  add_cases(list, 31, 33, "", inside, false, false);
  add_cases(list, 4096, 784, "", inside, true, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
