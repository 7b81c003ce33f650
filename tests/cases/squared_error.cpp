#include "kernels/squared_error.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

Reference forward_of(std::int64_t B, std::int64_t d) {
  return [=](Values& v) {
    const std::vector<double>&prediction = v["prediction"], &target = v["target"];
    const std::vector<double> ones(static_cast<std::size_t>(B), 1.0);
    const std::vector<double>& weight = v.count("weight") != 0 ? v["weight"] : ones;
    double sum = 0;
    for (std::size_t k = 0; k < prediction.size(); ++k) {
      const double difference = prediction[k] - target[k];
      sum += weight[k / static_cast<std::size_t>(d)] * difference * difference;
    }
    v["loss"][0] = B == 0 ? 0 : sum / static_cast<double>(B);
  };
}

View<const float> weight_of(const Buffers& b) {
  return b.placed.count("weight") ? b.in("weight") : View<const float>();
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, bool weighted, bool bench) {
    const double n = static_cast<double>(B * d);
    const std::string variant = (weighted ? "weighted " : "") + label({B, d});
    const auto with_weight = [&](std::vector<Buffer> buffers) {
      if (weighted) buffers.push_back({"weight", Role::input, {B}, DType::float32, Fill::uniform(0, 2)});
      return buffers;
    };
    list.push_back(
        {.op = "squared_error",
         .variant = variant,
         .buffers = with_weight(
             {{"prediction", Role::input, {B, d}}, {"target", Role::input, {B, d}}, {"loss", Role::output, {1}}}),
         .run =
             [](Stream& s, const Buffers& b) {
               squared_error(s, {.prediction = b.in("prediction"),
                                 .target = b.in("target"),
                                 .weight = weight_of(b),
                                 .loss = b.out("loss")});
             },
         .reference = forward_of(B, d),
         .tolerance = 1e-7,
         .bytes = 8 * n,
         .flops = 3 * n,
         .bench = bench});
    list.push_back(
        {.op = "squared_error_backward",
         .variant = variant,
         .buffers = with_weight({{"prediction", Role::input, {B, d}},
                                 {"target", Role::input, {B, d}},
                                 {"dloss", Role::input, {1}, DType::float32, Fill::uniform(0.5, 2)},
                                 {"dprediction", Role::output, {B, d}}}),
         .run =
             [](Stream& s, const Buffers& b) {
               squared_error_backward(s, {.prediction = b.in("prediction"),
                                          .target = b.in("target"),
                                          .weight = weight_of(b),
                                          .dloss = b.in("dloss"),
                                          .dprediction = b.out("dprediction")});
             },
         .reference = gradient_of(
             {.forward = forward_of(B, d), .outputs = {{"loss", "dloss"}}, .inputs = {{"prediction", "dprediction"}}}),
         .tolerance = 1e-6,
         .bytes = 12 * n,
         .flops = 2 * n,
         .bench = bench});
  };
  for (const auto& [B, d] : odd_shapes()) {
    add(B, d, false, false);
    add(B, d, true, false);
  }
  for (bool weighted : {false, true}) {
    add(4096, 784, weighted, true);
    add(256, 2, weighted, true);
  }
  // Several pieces of the sum, without the quadratic cost of differences: the forward alone.
  add(67, 131, false, false);
  list.pop_back();
  add(67, 131, true, false);
  list.pop_back();
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
