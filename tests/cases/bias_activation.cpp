#include "kernels/bias_activation.h"

#include <cmath>

#include "tests/cases/case.h"
#include "tests/cases/reference_activation.h"

namespace otnfm::cases {
namespace {

constexpr Activation kAll[] = {Activation::identity, Activation::relu, Activation::tanh,    Activation::sigmoid,
                               Activation::silu,     Activation::gelu, Activation::softplus};
constexpr const char* kNames[] = {"identity", "relu", "tanh", "sigmoid", "silu", "gelu", "softplus"};

Reference forward_of(Activation activation, std::int64_t n) {
  return [=](Values& v) {
    const std::vector<double>&z = v["z"], none(static_cast<std::size_t>(n), 0.0);
    const std::vector<double>& bias = v.count("bias") != 0 ? v["bias"] : none;
    std::vector<double>& y = v["y"];
    for (std::size_t i = 0; i < z.size(); ++i)
      y[i] = activated(activation, z[i] + bias[i % static_cast<std::size_t>(n)]);
  };
}

/// z + bias keeps away from the kink of relu: an integer and at least 0.2.
Fill z_fill(Activation activation, bool biased) {
  if (activation != Activation::relu) return Fill::normal();
  return biased ? Fill::integers(-3, 4) : Fill::uniform(0.2, 2);
}
Fill bias_fill(Activation activation) {
  return activation == Activation::relu ? Fill::uniform(0.2, 0.8) : Fill::normal();
}

View<const float> bias_of(const Buffers& b) {
  return b.placed.count("bias") ? b.in("bias") : View<const float>();
}

void add_cases(std::vector<Case>& list, Activation activation, std::int64_t B, std::int64_t n, bool biased,
               bool bench) {
  const std::size_t before = list.size();
  const double size = static_cast<double>(B * n);
  const std::string variant =
      std::string(kNames[static_cast<int>(activation)]) + (biased ? " " : " without bias ") + label({B, n});
  // A lone slope may be nearly 0, where silu and gelu are least, and then has no relative error to speak of.
  const bool few = B * n < 4 && activation != Activation::relu;
  const Buffer z{"z", Role::input, {B, n}, DType::float32, few ? Fill::uniform(0.2, 2) : z_fill(activation, biased)};
  const Buffer bias{"bias", Role::input, {n}, DType::float32, few ? Fill::uniform(0.2, 0.8) : bias_fill(activation)};
  const auto with_bias = [&](std::vector<Buffer> buffers) {
    if (biased) buffers.push_back(bias);
    return buffers;
  };
  list.push_back({.op = "bias_activation",
                  .variant = variant,
                  .buffers = with_bias({z, {"y", Role::output, {B, n}}}),
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        bias_activation(
                            s, {.z = b.stored("z"), .bias = bias_of(b), .y = b.stored("y"), .activation = activation});
                      },
                  .reference = forward_of(activation, n),
                  .bytes = 8 * size,
                  .flops = 20 * size,
                  .bench = bench});
  // A lone sum may cancel to nothing, and then has no relative error to speak of: few sums are of positive numbers.
  const Fill upstream = n < 4 ? Fill::uniform(0.5, 1.5) : Fill::normal();
  // Without a bias there is nothing to differentiate by either: that variant asks for no dbias.
  const std::vector<std::pair<std::string, std::string>> inputs = {{"z", "dz"}, {"bias", "dbias"}};
  std::vector<Buffer> buffers =
      with_bias({z, {"dy", Role::input, {B, n}, DType::float32, upstream}, {"dz", Role::output, {B, n}}});
  if (biased) buffers.push_back({"dbias", Role::output, {n}});
  list.push_back({.op = "bias_activation_backward",
                  .variant = variant,
                  .buffers = buffers,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        bias_activation_backward(s, {.z = b.stored("z"),
                                                     .bias = bias_of(b),
                                                     .dy = b.stored("dy"),
                                                     .dz = b.stored("dz"),
                                                     .dbias = biased ? b.out("dbias") : View<float>(),
                                                     .activation = activation});
                      },
                  .reference = gradient_of({.forward = forward_of(activation, n),
                                            .outputs = {{"y", "dy"}},
                                            .inputs = {inputs.begin(), inputs.begin() + (biased ? 2 : 1)}}),
                  .tolerance = 1e-6,
                  .bytes = 12 * size,
                  .flops = 25 * size,
                  .bench = bench});
  if (bench || activation == Activation::silu || B == 13)
    for (std::size_t k = before, end = list.size(); k < end; ++k)
      list.push_back(in_bfloat16(list[k], {"z", "y", "dy", "dz"}));
}

std::vector<Case> cases() {
  std::vector<Case> list;
  for (const auto& [B, n] : odd_shapes()) add_cases(list, Activation::silu, B, n, true, false);
  for (Activation activation : kAll) {
    add_cases(list, activation, 13, 36, true, false);
    add_cases(list, activation, 5, 33, false, false);
    add_cases(list, activation, 4096, 512, true, true);
  }
  add_cases(list, Activation::identity, 301, 3, true, false);  // several tiles of rows to sum
  add_cases(list, Activation::silu, 256, 64, true, true);
  add_cases(list, Activation::identity, 256, 2, true, true);

  list.push_back({.op = "bias_activation",
                  .variant = "in place 7x257",
                  .buffers = {{"y", Role::in_out, {7, 257}}, {"bias", Role::input, {257}}},
                  .run =
                      [](Stream& s, const Buffers& b) {
                        bias_activation(s, {b.stored("y"), b.in("bias"), b.stored("y"), Activation::tanh});
                      },
                  .reference =
                      [](Values& v) {
                        for (std::size_t i = 0; i < v["y"].size(); ++i)
                          v["y"][i] = std::tanh(v["y"][i] + v["bias"][i % 257]);
                      }});
  list.push_back(
      {.op = "bias_activation_backward",
       .variant = "in place, bias sums only 7x257",
       .buffers = {{"z", Role::input, {7, 257}}, {"dz", Role::in_out, {7, 257}}, {"dbias", Role::output, {257}}},
       .run =
           [](Stream& s, const Buffers& b) {
             bias_activation_backward(s, {.z = b.stored("z"),
                                          .bias = {},
                                          .dy = b.stored("dz"),
                                          .dz = b.stored("dz"),
                                          .dbias = b.out("dbias"),
                                          .activation = Activation::tanh});
           },
       .reference =
           [](Values& v) {
             v["dbias"].assign(257, 0.0);
             for (std::size_t i = 0; i < v["dz"].size(); ++i) {
               const double cosh = std::cosh(v["z"][i]);
               v["dz"][i] /= cosh * cosh;
               v["dbias"][i % 257] += v["dz"][i];
             }
           }});
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
