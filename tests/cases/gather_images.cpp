#include "kernels/gather_images.h"

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t n, std::int64_t B, std::int64_t H, std::int64_t W, std::int64_t C, bool bench) {
    const std::int64_t d = H * W * C;
    list.push_back(
        {.op = "gather_images",
         .variant = label({n, B, H, W, C}),
         .buffers = {{"images", Role::input, {n, H, W, C}, DType::uint8, Fill::integers(0, 256)},
                     {"index", Role::input, {B}, DType::int64, Fill::integers(0, static_cast<double>(2 * n))},
                     {"y", Role::output, {B, d}}},
         .run =
             [](Stream& s, const Buffers& b) {
               gather_images(s, {.images = b.view<const std::uint8_t>("images"),
                                 .index = b.view<const std::int64_t>("index"),
                                 .y = b.out("y")});
             },
         .reference =
             [=](Values& v) {
               for (std::int64_t i = 0; i < B; ++i)
                 for (std::int64_t h = 0; h < H; ++h)
                   for (std::int64_t w = 0; w < W; ++w)
                     for (std::int64_t c = 0; c < C; ++c) {
                       const auto index = static_cast<std::int64_t>(v["index"][static_cast<std::size_t>(i)]);
                       const std::int64_t column = index < n ? w : W - 1 - w;
                       const double pixel =
                           v["images"][static_cast<std::size_t>((((index % n) * H + h) * W + column) * C + c)];
                       v["y"][static_cast<std::size_t>(((i * H + h) * W + w) * C + c)] = pixel / 127.5 - 1;
                     }
             },
         .same_on_every_backend = true,
         .bytes = static_cast<double>(B) * (5.0 * static_cast<double>(d) + 8.0),
         .bench = bench});
  };
  add(3, 0, 2, 2, 1, false);
  add(1, 1, 1, 1, 1, false);
  add(2, 9, 1, 4, 1, false);
  add(3, 40, 2, 2, 3, false);
  add(5, 31, 3, 7, 1, false);
  add(7, 33, 5, 3, 3, false);
  add(4, 65, 4, 5, 3, false);
  add(11, 20, 28, 28, 1, false);
  add(6, 13, 32, 32, 3, false);
  add(4096, 256, 32, 32, 3, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
