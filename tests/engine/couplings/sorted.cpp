// The sorted coupling: every pair has one rank in its batch along the first axis, and both sides are what was drawn.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/core/table.h"
#include "engine/couplings/coupling.h"

namespace otnfm {
namespace {

TEST(SortedCoupling, PairsByRankAlongTheFirstAxis) {
  const std::int64_t B = 37, d = 3;
  const Source source = Source::gaussian(d);
  const Dataset data = Dataset::gaussian(d);
  const auto coupling = find_by_name(couplings(), "sorted", "coupling").make(source, data, {.batch = B, .seed = 5});
  coupling->prepare({});
  Tape tape(Device::cpu, {.training = false});
  std::uint64_t step = 0;
  const Pairs pairs = coupling->record(tape, {&step, {1}});
  tape.keep(pairs.x0);
  tape.keep(pairs.x1);
  tape.plan();
  Stream stream(Device::cpu);
  for (; step < 3; ++step) {
    coupling->feed(stream, step);
    tape.run(stream);
    stream.synchronize();
    const View<float> x0 = tape.view(pairs.x0), x1 = tape.view(pairs.x1);
    std::vector<std::pair<float, float>> firsts;
    double cost = 0, own_axis = 0, by_chance = 0;
    for (std::int64_t i = 0; i < B; ++i) {
      firsts.emplace_back(x0(i, 0), x1(i, 0));
      for (std::int64_t k = 0; k < d; ++k) cost += std::pow(static_cast<double>(x0(i, k)) - x1(i, k), 2);
      own_axis += std::pow(x0(i, 0) - x1(i, 0), 2);
      by_chance += std::pow(x0(i, 1) - x1(i, 1), 2);
    }
    std::ranges::sort(firsts);
    EXPECT_TRUE(std::ranges::is_sorted(firsts, {}, [](const auto& pair) { return pair.second; }));
    EXPECT_LT(own_axis, by_chance);
    EXPECT_NEAR(coupling->statistics().mean_cost, cost / B, 1e-6 * cost / B);
  }
}

}  // namespace
}  // namespace otnfm
