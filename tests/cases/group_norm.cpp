#include "kernels/group_norm.h"

#include <cmath>

#include "tests/cases/case.h"
#include "tests/cases/reference_activation.h"

namespace otnfm::cases {
namespace {

struct Sizes {
  std::int64_t B, N, C, groups;
  Activation activation;
  bool film;
};

constexpr double kEpsilon = 1e-5;

Reference forward(const Sizes& n) {
  return [n](Values& v) {
    const std::int64_t width = n.C / n.groups;
    const double count = static_cast<double>(n.N * width);
    for (std::int64_t b = 0; b < n.B; ++b)
      for (std::int64_t g = 0; g < n.groups; ++g) {
        const auto for_each = [&](const auto& body) {
          for (std::int64_t i = 0; i < n.N; ++i)
            for (std::int64_t c = g * width; c < (g + 1) * width; ++c)
              body(static_cast<std::size_t>((b * n.N + i) * n.C + c), static_cast<std::size_t>(c));
        };
        double sum = 0, squares = 0;
        for_each([&](std::size_t at, std::size_t) { sum += v["x"][at]; });
        const double mean = sum / count;
        for_each([&](std::size_t at, std::size_t) { squares += (v["x"][at] - mean) * (v["x"][at] - mean); });
        const double rstd = 1 / std::sqrt(squares / count + kEpsilon);
        for_each([&](std::size_t at, std::size_t c) {
          double z = (v["x"][at] - mean) * rstd * v["weight"][c] + v["bias"][c];
          if (n.film) {
            const double* film = v["film"].data() + b * 2 * n.C;
            z = z * (1 + film[c]) + film[static_cast<std::size_t>(n.C) + c];
          }
          v["y"][at] = activated(n.activation, z);
        });
        const std::size_t statistic = static_cast<std::size_t>(b * n.groups + g);
        if (n.N == 0) continue;
        v["mean"][statistic] = mean;
        v["rstd"][statistic] = rstd;
      }
  };
}

View<const float> film_of(const Buffers& b) {
  return b.placed.count("film") ? b.in("film") : View<const float>();
}

void add_cases(std::vector<Case>& list, const Sizes& n, bool bench) {
  const std::vector<std::int64_t> image = {n.B, n.N, n.C}, statistics = {n.B, n.groups};
  const double size = static_cast<double>(n.B * n.N * n.C);
  const std::string variant = label({n.B, n.N, n.C}) + " in " + std::to_string(n.groups) +
                              (n.activation == Activation::silu ? " silu" : "") + (n.film ? " film" : "");
  const std::size_t before = list.size();
  // Away from 0, so that means are no small differences. Few numbers of a group must not lie close together: what is
  // left of them behind their mean would have few digits.
  const bool few = n.N * n.C / n.groups < 16;
  const Buffer x{"x", Role::input, image, DType::float32, few ? Fill::permutation() : Fill::uniform(-1, 3)};
  const Buffer weight{"weight", Role::input, {n.C}, DType::float32, Fill::uniform(0.5, 1.5)};
  const Buffer bias{"bias", Role::input, {n.C}}, film{"film", Role::input, {n.B, 2 * n.C}};
  const auto with_film = [&](std::vector<Buffer> buffers) {
    if (n.film) buffers.push_back(film);
    return buffers;
  };
  list.push_back({.op = "group_norm",
                  .variant = variant,
                  .buffers = with_film({x,
                                        weight,
                                        bias,
                                        {"y", Role::output, image},
                                        {"mean", Role::output, statistics, DType::float32, {}, false},
                                        {"rstd", Role::output, statistics, DType::float32, {}, false}}),
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        group_norm(s, {.x = b.stored("x"),
                                       .weight = b.in("weight"),
                                       .bias = b.in("bias"),
                                       .film = film_of(b),
                                       .y = b.stored("y"),
                                       .mean = b.out("mean"),
                                       .rstd = b.out("rstd"),
                                       .activation = n.activation,
                                       .epsilon = kEpsilon});
                      },
                  .reference = forward(n),
                  .tolerance = 4e-6,
                  .bytes = 8 * size,
                  .flops = 30 * size,
                  .bench = bench});
  std::vector<std::pair<std::string, std::string>> inputs = {{"x", "dx"}, {"weight", "dweight"}, {"bias", "dbias"}};
  std::vector<Buffer> buffers = with_film({x,
                                           weight,
                                           bias,
                                           {"mean", Role::input, statistics, DType::float32, {}, false},
                                           {"rstd", Role::input, statistics, DType::float32, {}, false},
                                           {"dy", Role::input, image, DType::float32, Fill::uniform(-1, 2)},
                                           {"dx", Role::output, image},
                                           {"dweight", Role::output, {n.C}},
                                           {"dbias", Role::output, {n.C}}});
  // The statistics are those of x.
  const auto statistics_of_x = [=](Values& values, std::mt19937_64&) {
    values["y"].resize(values["x"].size());
    forward(n)(values);
    values.erase("y");
  };
  if (n.film) {
    inputs.emplace_back("film", "dfilm");
    buffers.push_back({"dfilm", Role::output, {n.B, 2 * n.C}});
  }
  list.push_back({.op = "group_norm_backward",
                  .variant = variant,
                  .buffers = buffers,
                  .run =
                      [=](Stream& s, const Buffers& b) {
                        group_norm_backward(s, {.x = b.stored("x"),
                                                .weight = b.in("weight"),
                                                .bias = b.in("bias"),
                                                .film = film_of(b),
                                                .mean = b.in("mean"),
                                                .rstd = b.in("rstd"),
                                                .dy = b.stored("dy"),
                                                .dx = b.stored("dx"),
                                                .dweight = b.out("dweight"),
                                                .dbias = b.out("dbias"),
                                                .dfilm = n.film ? b.out("dfilm") : View<float>(),
                                                .activation = n.activation});
                      },
                  .reference =
                      [=](Values& values) {
                        Values all = values;
                        all["y"].assign(values["dy"].size(), 0.0);
                        gradient_of({.forward = forward(n), .outputs = {{"y", "dy"}}, .inputs = inputs})(all);
                        for (const auto& [input, gradient] : inputs) values[gradient] = all[gradient];
                      },
                  .draw_again = statistics_of_x,
                  // The one or two sums that few channels have may cancel.
                  .tolerance = n.C < 4 ? 1e-4 : 1e-5,
                  .norm_tolerance = n.C < 4 ? 1e-4 : 2e-6,
                  .bytes = 12 * size,
                  .flops = 60 * size,
                  .bench = bench});
  if (bench || n.C > 4)
    for (std::size_t k = before, end = list.size(); k < end; ++k) {
      list.push_back(in_bfloat16(list[k], {"x", "y", "dy", "dx"}));
      if (list[k].op == "group_norm_backward") list.back().tolerance = list.back().norm_tolerance = 6e-3;
    }
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const Activation identity = Activation::identity, silu = Activation::silu;
  const Sizes sizes[] = {
      {0, 4, 4, 2, silu, true},    {2, 3, 1, 1, identity, false},  {1, 7, 2, 1, silu, true},
      {3, 5, 6, 3, silu, false},   {2, 9, 8, 8, silu, true},       {2, 31, 33, 3, silu, true},
      {1, 4, 64, 8, silu, true},   {2, 13, 40, 5, identity, true}, {5, 6, 32, 32, silu, false},
      {1, 66, 16, 4, silu, false}, {1, 2, 300, 1, silu, true},
  };
  for (const Sizes& n : sizes) add_cases(list, n, false);
  add_cases(list, {64, 196, 32, 8, silu, true}, true);
  add_cases(list, {64, 49, 64, 8, silu, true}, true);
  add_cases(list, {64, 1024, 64, 32, silu, true}, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
