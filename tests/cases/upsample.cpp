#include "kernels/upsample.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

void add_cases(std::vector<Case>& list, std::int64_t B, std::int64_t H, std::int64_t W, std::int64_t C, bool bench) {
  const Reference forward = [=](Values& v) {
    for (std::int64_t at = 0; at < B * 4 * H * W * C; ++at) {
      const std::int64_t c = at % C, j = at / C % (2 * W), i = at / C / (2 * W) % (2 * H), b = at / C / (4 * H * W);
      v["y"][static_cast<std::size_t>(at)] = v["x"][static_cast<std::size_t>(((b * H + i / 2) * W + j / 2) * C + c)];
    }
  };
  const std::vector<std::int64_t> small = {B, H, W, C}, large = {B, 2 * H, 2 * W, C};
  const double bytes = 20.0 * static_cast<double>(B * H * W * C);
  const std::size_t before = list.size();
  list.push_back({.op = "upsample",
                  .variant = label({B, H, W, C}),
                  .buffers = {{"x", Role::input, small}, {"y", Role::output, large}},
                  .run = [](Stream& s, const Buffers& b) { upsample(s, {.x = b.stored("x"), .y = b.stored("y")}); },
                  .reference = forward,
                  .tolerance = 0,
                  .same_on_every_backend = true,
                  .bytes = bytes,
                  .bench = bench});
  list.push_back(
      {.op = "upsample_backward",
       .variant = label({B, H, W, C}),
       .buffers = {{"dy", Role::input, large, DType::float32, terms(B * H * W * C)}, {"dx", Role::output, small}},
       .run = [](Stream& s, const Buffers& b) { upsample_backward(s, {.dy = b.stored("dy"), .dx = b.stored("dx")}); },
       .reference =
           [=](Values& values) {
             Values all = values;
             all["x"].assign(values["dx"].size(), 0.0);
             all["y"].assign(values["dy"].size(), 0.0);
             gradient_of({.forward = forward, .outputs = {{"y", "dy"}}, .inputs = {{"x", "dx"}}, .step = 1})(all);
             values["dx"] = all["dx"];
           },
       .bytes = bytes,
       .flops = 3.0 * static_cast<double>(B * H * W * C),
       .bench = bench});
  if (bench || C > 3)
    for (std::size_t k = before, end = list.size(); k < end; ++k)
      list.push_back(in_bfloat16(list[k], {"x", "y", "dy", "dx"}));
}

std::vector<Case> cases() {
  std::vector<Case> list;
  add_cases(list, 0, 3, 3, 4, false);
  add_cases(list, 1, 1, 1, 1, false);
  add_cases(list, 2, 3, 1, 5, false);
  add_cases(list, 3, 2, 5, 8, false);
  add_cases(list, 1, 4, 3, 33, false);
  add_cases(list, 64, 7, 7, 64, true);
  add_cases(list, 64, 16, 16, 128, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
