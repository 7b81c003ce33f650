#include "kernels/dropout.h"

#include "tests/cases/case.h"
#include "tests/cases/reference_random.h"

namespace otnfm::cases {
namespace {

constexpr std::uint64_t kSeed = 0x51c3a9e64f0b7d28;
constexpr std::uint32_t kStream = 0x40000011;

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, double rate, bool bench) {
    const double n = static_cast<double>(B * d);
    const std::int64_t first_row = 3;
    list.push_back({.op = "dropout",
                    .variant = label({B, d}) + " at " + std::to_string(rate).substr(0, 4),
                    .buffers = {{"step", Role::input, {1}, DType::uint64, Fill::integers(0, std::int64_t{1} << 33)},
                                {"x", Role::input, {B, d}},
                                {"y", Role::output, {B, d}}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          dropout(s, {.x = b.stored("x"),
                                      .y = b.stored("y"),
                                      .key = {.seed = kSeed,
                                              .stream = kStream,
                                              .step = b.view<std::uint64_t>("step"),
                                              .first_row = first_row},
                                      .rate = static_cast<float>(rate)});
                        },
                    .reference =
                        [=](Values& v) {
                          for (std::size_t i = 0; i < v["y"].size(); ++i) {
                            const std::uint32_t word = reference_word(
                                kSeed, kStream, static_cast<std::uint64_t>(v["step"][0]), first_row * d + i);
                            const bool kept = reference_uniform(word) >= double{static_cast<float>(rate)};
                            v["y"][i] = kept ? v["x"][i] / (1 - double{static_cast<float>(rate)}) : 0;
                          }
                        },
                    .tolerance = 2e-7,
                    .same_on_every_backend = true,
                    .bytes = 8 * n,
                    .flops = 20 * n,
                    .bench = bench});
    if (bench || d == 33) list.push_back(in_bfloat16(list.back(), {"x", "y"}));
  };
  for (const auto& [B, d] : odd_shapes()) add(B, d, 0.3, false);
  add(7, 65, 0, false);
  add(7, 65, 0.99, false);
  add(128, 14 * 14 * 32, 0.1, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
