#include "kernels/distribution.h"

#include "tests/cases/case.h"
#include "tests/cases/reference_random.h"

namespace otnfm::cases {
namespace {

constexpr std::uint64_t kSeed = 77;
constexpr std::uint32_t kStream = 4;
constexpr double kPi = 3.14159265358979323846;

/// One point, from its eight words, as scikit-learn, torchcfm and FFJORD define the distributions.
void point(DistributionKind kind, const std::uint32_t (&w)[8], double& x, double& y) {
  const double z0 = reference_normal(w[2], w[3], 0), z1 = reference_normal(w[2], w[3], 1);
  const double u0 = w[0] / 4294967296.0, u1 = reference_uniform(w[1]);
  switch (kind) {
    case DistributionKind::eight_gaussians: {
      const double angle = std::floor(8 * u0) * kPi / 4, deviation = std::sqrt(std::sqrt(0.1));
      x = 5 * std::cos(angle) + deviation * z0;
      y = 5 * std::sin(angle) + deviation * z1;
      return;
    }
    case DistributionKind::moons:
    case DistributionKind::crescent: {
      const bool inner = kind == DistributionKind::moons && u0 >= 0.5;
      const double angle = kPi * u1;
      const double moon_x = inner ? 1 - std::cos(angle) : std::cos(angle);
      const double moon_y = inner ? 1 - std::sin(angle) - 0.5 : std::sin(angle);
      x = 3 * (moon_x + 0.2 * z0) - 1;
      y = 3 * (moon_y + 0.2 * z1) - 1;
      return;
    }
    case DistributionKind::checkerboard: {
      const double x1 = 4 * reference_uniform(w[0]) - 2, lower = w[1] >= 0x80000000u ? 1 : 0;
      const double odd = std::fmod(std::floor(x1) + 2, 2);
      x = x1 / 0.45;
      y = (reference_uniform(w[2]) - 2 * lower + odd) / 0.45;
      return;
    }
    case DistributionKind::swissroll: {
      const double u = std::floor(u0 * 8388608) / 8388608, t = 1.5 * kPi * (1 + 2 * u);
      x = (t * std::cos(t) + z0) / 5;
      y = (t * std::sin(t) + z1) / 5;
      return;
    }
    case DistributionKind::spirals: {
      // sqrt(u) as the larger of two uniform numbers.
      const double root = std::floor(std::max(w[0], w[1]) / 512.0) / 8388608;
      const double n = root * 540 * 2 * kPi / 360, sign = w[4] < 0x80000000u ? 1 : -1;
      x = sign * (-std::cos(n) * n + 0.5 * reference_uniform(w[2])) / 3 + 0.1 * reference_normal(w[6], w[7], 0);
      y = sign * (std::sin(n) * n + 0.5 * reference_uniform(w[3])) / 3 + 0.1 * reference_normal(w[6], w[7], 1);
      return;
    }
    case DistributionKind::rings: {
      const double radius = 3 * 0.25 * (1 + std::floor(4 * u0)), angle = 2 * kPi * u1;
      x = radius * std::cos(angle) + 0.08 * z0;
      y = radius * std::sin(angle) + 0.08 * z1;
      return;
    }
    case DistributionKind::grid_of_25_gaussians: {
      x = -4 + 2 * std::floor(5 * u0) + 0.05 * z0;
      y = -4 + 2 * std::floor(5 * (w[1] / 4294967296.0)) + 0.05 * z1;
      return;
    }
    case DistributionKind::pinwheel: {
      const double f0 = 1 + 0.3 * z0, f1 = 0.1 * z1, angle = std::floor(5 * u0) * 2 * kPi / 5 + 0.25 * std::exp(f0);
      x = 2 * (f0 * std::cos(angle) + f1 * std::sin(angle));
      y = 2 * (-f0 * std::sin(angle) + f1 * std::cos(angle));
      return;
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](DistributionKind kind, std::int64_t B, std::int64_t first_row, bool bench) {
    // One point is compared relative to itself alone: there, always the same (and the key without a step).
    const bool stepped = B > 1;
    std::vector<Buffer> buffers = {{"y", Role::output, {B, 2}}};
    if (stepped) buffers.push_back({"step", Role::input, {1}, DType::uint64, Fill::integers(0, std::int64_t{1} << 31)});
    list.push_back({.op = "sample_distribution",
                    .variant = std::string(name_of(kind)) + " " + label({B}) + " from row " + std::to_string(first_row),
                    .buffers = buffers,
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          RandomKey key = {.seed = kSeed, .stream = kStream, .first_row = first_row};
                          if (stepped) key.step = b.view<std::uint64_t>("step");
                          sample_distribution(s, {.y = b.out("y"), .key = key, .kind = kind});
                        },
                    .reference =
                        [=](Values& v) {
                          const std::uint64_t step = stepped ? static_cast<std::uint64_t>(v["step"][0]) : 0;
                          for (std::int64_t i = 0; i < B; ++i) {
                            std::uint32_t words[8];
                            for (int k = 0; k < 8; ++k)
                              words[k] = reference_word(kSeed, kStream, step, 8 * (first_row + i) + k);
                            point(kind, words, v["y"][2 * i], v["y"][2 * i + 1]);
                          }
                        },
                    // The angle of pinwheel is an exponential, with its relative error.
                    .tolerance = kind == DistributionKind::pinwheel ? 1e-5 : 1e-6,
                    .same_on_every_backend = kind != DistributionKind::pinwheel,
                    .bytes = 8.0 * static_cast<double>(B),
                    .flops = 200.0 * static_cast<double>(B),
                    .bench = bench});
  };
  for (std::size_t k = 0; k < distribution_names().size(); ++k) {
    const auto kind = static_cast<DistributionKind>(k);
    for (std::int64_t B : {0, 1, 31, 33, 257}) add(kind, B, B % 5, false);
    add(kind, 4096, 0, true);
  }
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases
