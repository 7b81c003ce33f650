#include "kernels/random.h"

#include "tests/cases/case.h"
#include "tests/cases/reference_random.h"

namespace otnfm::cases {
namespace {

constexpr std::uint64_t kSeed = 0x9a3c5e17d2486bf1;
constexpr std::uint32_t kStream = 0x80000003;

std::vector<Case> cases() {
  std::vector<Case> list;
  const Buffer step = {"step", Role::input, {1}, DType::uint64, Fill::integers(0, std::int64_t{1} << 33)};
  const auto key = [](const Buffers& b, std::int64_t first_row) {
    return RandomKey{.seed = kSeed, .stream = kStream, .step = b.view<std::uint64_t>("step"), .first_row = first_row};
  };
  const auto add = [&](std::int64_t B, std::int64_t d, std::int64_t first_row, bool bench) {
    const double n = static_cast<double>(B * d);
    const std::string variant = label({B, d}) + " from row " + std::to_string(first_row);
    // An offset, only where there are enough numbers for the root mean square to be far from 0.
    const double offset = B * d > 100 ? 0.75 : 0.0;
    const auto low = static_cast<float>(-offset), high = 2.5f;
    list.push_back({.op = "uniform",
                    .variant = variant,
                    .buffers = {step, {"y", Role::output, {B, d}}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          uniform(s, {.y = b.out("y"), .key = key(b, first_row), .low = low, .high = high});
                        },
                    .reference =
                        [=](Values& v) {
                          for (std::size_t i = 0; i < v["y"].size(); ++i) {
                            const std::uint32_t word = reference_word(
                                kSeed, kStream, static_cast<std::uint64_t>(v["step"][0]), first_row * d + i);
                            v["y"][i] = low + (double{high} - low) * reference_uniform(word);
                          }
                        },
                    .tolerance = 1e-6,
                    .same_on_every_backend = true,
                    .bytes = 4 * n,
                    .flops = 35 * n,
                    .bench = bench});
    list.push_back({.op = "normal",
                    .variant = variant,
                    .buffers = {step, {"y", Role::output, {B, d}}},
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          normal(s, {.y = b.out("y"),
                                     .key = key(b, first_row),
                                     .mean = static_cast<float>(offset),
                                     .standard_deviation = 1.5f});
                        },
                    .reference =
                        [=](Values& v) {
                          const auto word = [&](std::uint64_t number) {
                            return reference_word(kSeed, kStream, static_cast<std::uint64_t>(v["step"][0]), number);
                          };
                          for (std::size_t i = 0; i < v["y"].size(); ++i) {
                            const std::uint64_t number = first_row * d + i, pair = number - number % 2;
                            v["y"][i] = offset + 1.5 * reference_normal(word(pair), word(pair + 1), number % 2);
                          }
                        },
                    .tolerance = 1e-6,
                    .same_on_every_backend = true,
                    .bytes = 4 * n,
                    .flops = 65 * n,
                    .bench = bench});
  };
  for (const auto& [B, d] : odd_shapes()) add(B, d, 0, false);
  add(5, 3, 1, false);
  add(9, 7, 3, false);
  add(2, 257, (std::int64_t{1} << 33) + 1, false);
  add(256, 784, 0, true);
  add(4096, 784, 0, true);

  const auto add_indices = [&](std::int64_t B, std::int64_t bound, std::int64_t first_row, bool bench) {
    list.push_back(
        {.op = "random_indices",
         .variant = label({B, bound}) + " from row " + std::to_string(first_row),
         .buffers = {step, {"index", Role::output, {B}, DType::int64}},
         .run =
             [=](Stream& s, const Buffers& b) {
               random_indices(s, {.index = b.view<std::int64_t>("index"), .key = key(b, first_row), .bound = bound});
             },
         .reference =
             [=](Values& v) {
               for (std::size_t i = 0; i < v["index"].size(); ++i) {
                 const std::uint64_t number = 2 * (first_row + i);
                 const auto step = static_cast<std::uint64_t>(v["step"][0]);
                 const unsigned __int128 word =
                     reference_word(kSeed, kStream, step, number) +
                     (static_cast<unsigned __int128>(reference_word(kSeed, kStream, step, number + 1)) << 32);
                 v["index"][i] = static_cast<double>(static_cast<std::uint64_t>((word * bound) >> 64));
               }
             },
         .tolerance = 0,
         .same_on_every_backend = true,
         .bytes = 8.0 * static_cast<double>(B),
         .flops = 70.0 * static_cast<double>(B),
         .bench = bench});
  };
  for (std::int64_t B : {0, 1, 2, 31, 33, 257}) add_indices(B, 60000, B % 4, false);
  add_indices(67, 1, 0, false);
  add_indices(67, 0xffffffff, 5, false);
  add_indices(16384, 60000, 0, true);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
