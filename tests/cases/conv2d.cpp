#include "kernels/conv2d.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

struct Sizes {
  std::int64_t B, H, W, C, O, k, stride;
  std::int64_t rows() const { return (H + stride - 1) / stride; }
  std::int64_t columns() const { return (W + stride - 1) / stride; }
};

/// y[b, i, j, o] = bias[o] + added + sum of x[b, i s + u - k / 2, j s + v - k / 2, c] weight[o, u, v, c]
Reference forward(const Sizes& n) {
  return [n](Values& values) {
    const std::vector<double>&x = values["x"], &weight = values["weight"];
    std::vector<double>& y = values["y"];
    std::size_t at = 0;
    for (std::int64_t b = 0; b < n.B; ++b)
      for (std::int64_t i = 0; i < n.rows(); ++i)
        for (std::int64_t j = 0; j < n.columns(); ++j)
          for (std::int64_t o = 0; o < n.O; ++o, ++at) {
            double sum = values.count("bias") != 0 ? values["bias"][static_cast<std::size_t>(o)] : 0;
            if (values.count("added") != 0) sum += values["added"][at];
            for (std::int64_t u = 0; u < n.k; ++u)
              for (std::int64_t v = 0; v < n.k; ++v) {
                const std::int64_t row = i * n.stride + u - n.k / 2, column = j * n.stride + v - n.k / 2;
                if (row < 0 || row >= n.H || column < 0 || column >= n.W) continue;
                for (std::int64_t c = 0; c < n.C; ++c)
                  sum += x[static_cast<std::size_t>(((b * n.H + row) * n.W + column) * n.C + c)] *
                         weight[static_cast<std::size_t>(((o * n.k + u) * n.k + v) * n.C + c)];
              }
            y[at] = sum;
          }
  };
}

void add_cases(std::vector<Case>& list, const Sizes& n, bool bench) {
  const std::vector<std::int64_t> image = {n.B, n.H, n.W, n.C}, filter = {n.O, n.k, n.k, n.C},
                                  result = {n.B, n.rows(), n.columns(), n.O};
  const double pixels = static_cast<double>(n.B * n.rows() * n.columns());
  const double taps = static_cast<double>(n.k * n.k * n.C), O = static_cast<double>(n.O);
  const double bytes = 4 * (static_cast<double>(n.B * n.H * n.W * n.C) + pixels * O + taps * O);
  const std::string variant = label({n.B, n.H, n.W, n.C}) + " to " + std::to_string(n.O) + " by " + label({n.k, n.k}) +
                              " stride " + std::to_string(n.stride);
  const std::size_t before = list.size();
  const Buffer x{"x", Role::input, image, DType::float32, terms(n.B * n.H * n.W * n.C)};
  const Buffer weight{"weight", Role::input, filter, DType::float32, terms(n.O * n.k * n.k * n.C)};
  // A lone sum that cancels has no relative error to speak of: few of them are of positive numbers.
  const Fill summands = terms(n.B * n.rows() * n.columns() * n.O);
  const Buffer bias{"bias", Role::input, {n.O}, DType::float32, summands};
  const Buffer added{"added", Role::input, result, DType::float32, summands}, y{"y", Role::output, result};
  const Buffer dy{"dy", Role::input, result, DType::float32, terms(n.O)};
  for (const bool all : {true, false}) {
    if (bench && !all) continue;
    list.push_back({.op = "conv2d",
                    .variant = variant + (all ? "" : " alone"),
                    .buffers = all ? std::vector<Buffer>{x, weight, bias, added, y} : std::vector<Buffer>{x, weight, y},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          conv2d(s, {.x = b.stored("x"),
                                     .weight = b.stored("weight"),
                                     .bias = all ? b.in("bias") : View<const float>(),
                                     .added = all ? View<const Stored>(b.stored("added")) : View<const Stored>(),
                                     .y = b.stored("y"),
                                     .stride = n.stride});
                        },
                    .reference = forward(n),
                    .tolerance = 4e-6,  // of a sum of up to 300 products
                    .bytes = bytes + (all ? 4 * pixels * O : 0),
                    .flops = 2 * pixels * O * taps,
                    .bench = bench});
  }
  list.push_back(
      {.op = "conv2d_backward_data",
       .variant = variant,
       .buffers = {dy, weight, {"dx", Role::output, image}},
       .run =
           [=](Stream& s, const Buffers& b) {
             conv2d_backward_data(
                 s, {.dy = b.stored("dy"), .weight = b.stored("weight"), .dx = b.stored("dx"), .stride = n.stride});
           },
       .reference =
           [=](Values& values) {  // x is no buffer of this op, and where it is taken does not matter
             Values all = values;
             all["x"].assign(values["dx"].size(), 0.0);
             all["y"].assign(values["dy"].size(), 0.0);
             gradient_of({.forward = forward(n), .outputs = {{"y", "dy"}}, .inputs = {{"x", "dx"}}, .step = 1})(all);
             values["dx"] = all["dx"];
           },
       .bytes = bytes,
       .flops = 2 * pixels * O * taps,
       .bench = bench});
  for (const bool with_bias : {true, false}) {
    if (bench && !with_bias) continue;
    std::vector<Buffer> buffers = {x, dy, {"dweight", Role::output, filter}};
    if (with_bias) buffers.push_back({"dbias", Role::output, {n.O}});
    list.push_back(
        {.op = "conv2d_backward_weight",
         .variant = variant + (with_bias ? "" : " without bias"),
         .buffers = buffers,
         .run =
             [=](Stream& s, const Buffers& b) {
               conv2d_backward_weight(s, {.x = b.stored("x"),
                                          .dy = b.stored("dy"),
                                          .dweight = b.out("dweight"),
                                          .dbias = with_bias ? b.out("dbias") : View<float>(),
                                          .stride = n.stride});
             },
         .reference =
             [=](Values& values) {
               Values all = values;
               all["weight"].assign(values["dweight"].size(), 0.0);
               all["bias"].assign(static_cast<std::size_t>(n.O), 0.0);
               all["y"].assign(values["dy"].size(), 0.0);
               std::vector<std::pair<std::string, std::string>> inputs = {{"weight", "dweight"}};
               if (with_bias) inputs.emplace_back("bias", "dbias");
               gradient_of({.forward = forward(n), .outputs = {{"y", "dy"}}, .inputs = inputs, .step = 1})(all);
               for (const auto& [input, gradient] : inputs) values[gradient] = all[gradient];
             },
         .tolerance = 4e-6,  // as forward
         .bytes = bytes,
         .flops = 2 * pixels * O * taps,
         .bench = bench});
  }
  if (bench || n.B * n.C > 10)
    for (std::size_t k = before, end = list.size(); k < end; ++k) {
      list.push_back(in_bfloat16(list[k], {"x", "weight", "added", "y", "dy", "dx"}));
      if (list[k].op == "conv2d" && k == before + 1)  // the result as float32
        list.push_back(in_bfloat16(list[k], {"x", "weight"})), list.back().variant += " to float32";
    }
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const Sizes sizes[] = {
      {1, 1, 1, 1, 1, 1, 1},  {1, 1, 1, 1, 1, 3, 1},  {1, 2, 3, 1, 2, 3, 2},   {0, 4, 4, 2, 3, 3, 1},
      {3, 5, 4, 3, 5, 3, 1},  {2, 7, 6, 5, 3, 3, 2},  {2, 5, 3, 7, 2, 1, 2},   {3, 4, 4, 8, 16, 1, 1},
      {19, 4, 3, 4, 3, 3, 1},  // more images than one group of the library's
      {2, 6, 6, 16, 8, 3, 1}, {2, 5, 7, 31, 2, 1, 1}, {1, 3, 3, 33, 17, 3, 2},
  };
  for (const Sizes& n : sizes) add_cases(list, n, false);
  add_cases(list, {64, 14, 14, 32, 32, 3, 1}, true);
  add_cases(list, {64, 7, 7, 64, 64, 3, 1}, true);
  add_cases(list, {32, 32, 32, 64, 64, 3, 1}, true);
  add_cases(list, {32, 32, 32, 64, 64, 3, 2}, true);
  add_cases(list, {32, 16, 16, 128, 128, 3, 1}, true);
  add_cases(list, {32, 16, 16, 256, 128, 1, 1}, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
