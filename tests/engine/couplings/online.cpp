// The online coupling: whatever it is fed, it stays a permutation whose cost does not rise; it goes on from any step
// bit for bit; it settles.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/table.h"
#include "engine/couplings/coupling.h"
#include "engine/data/random_streams.h"
#include "engine/metrics/collapse.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

using Places = std::vector<std::int64_t>;

CouplingState state_of(Places tau) {
  return {.integers = {{"tau", std::move(tau)}}};
}

/// A coupling with its tape and what it feeds.
struct Fed {
  Fed(const Source& source, const Dataset& data, const CouplingOptions& options, const CouplingState& state = {})
      : coupling(find_by_name(couplings(), "online", "coupling").make(source, data, options)),
        stream(Device::cpu),
        tape(Device::cpu, {}) {
    coupling->prepare(state);
    const Pairs pairs = coupling->record(tape, {});
    x0 = pairs.x0.view();
    x1 = pairs.x1.view();
  }

  void feed(std::uint64_t step) { coupling->feed(stream, step); }
  Places tau() const { return coupling->state().integers_of("tau"); }
  std::vector<float> pairs() const {
    std::vector<float> values(x0.data, x0.data + x0.size());
    values.insert(values.end(), x1.data, x1.data + x1.size());
    return values;
  }

  std::unique_ptr<Coupling> coupling;
  Stream stream;
  Tape tape;
  View<float> x0, x1;
};

bool is_permutation_of_all(Places tau) {
  std::ranges::sort(tau);
  for (std::size_t i = 0; i < tau.size(); ++i)
    if (tau[i] != static_cast<std::int64_t>(i)) return false;
  return true;
}

std::int64_t own_or(const CouplingOptions& options, const char* key, std::int64_t otherwise) {
  const auto found = options.own.find(key);
  return found == options.own.end() ? otherwise : std::get<std::int64_t>(found->second);
}

/// All noises and all data of a bank, drawn here on their own.
struct Bank {
  Bank(const Source& source, const Dataset& data, const CouplingOptions& options)
      : d(data.dimension()),
        caches(own_or(options, "caches", 1)),
        count(data.endless() ? own_or(options, "bank", 16384) : data.count()) {
    noise.resize(count * caches * d);
    source.draw({.seed = options.seed, .stream = kSourceBankStream}, {noise.data(), {count * caches, d}});
    rows.resize(count * d);
    if (data.endless())
      data.draw({.seed = options.seed, .stream = kTargetBankStream}, {rows.data(), {count, d}});
    else
      data.copy_rows(0, {rows.data(), {count, d}});
  }
  double distance(std::int64_t a, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const double difference = static_cast<double>(noise[a * d + k]) - rows[j * d + k];
      sum += difference * difference;
    }
    return sum;
  }
  double cost(const Places& tau) const {
    double sum = 0;
    for (std::size_t place = 0; place < tau.size(); ++place)
      sum += distance(tau[place], static_cast<std::int64_t>(place) / caches);
    return sum;
  }
  std::int64_t d, caches, count;
  std::vector<float> noise, rows;
};

TEST(OnlineCoupling, TheCostNeverRisesInAThousandSteps) {
  const Dataset data = open_dataset("8gaussians");
  const Source source = open_source(NamedSource("gaussian"), data);
  // 61 steps a pass: 23 of the 2,036 places are left out of each.
  const CouplingOptions options{.batch = 33, .own = {{"bank", 1018}, {"caches", 2}}, .seed = 3};
  const Bank bank(source, data, options);
  Fed fed(source, data, options);
  ASSERT_EQ(fed.tau().size(), 2036u);
  const double first = bank.cost(fed.tau());
  double last = first;
  for (std::uint64_t step = 0; step < 1000; ++step) {
    fed.feed(step);
    const Places tau = fed.tau();
    ASSERT_TRUE(is_permutation_of_all(tau)) << "step " << step;
    const double cost = bank.cost(tau);
    ASSERT_TRUE(cost <= last * (1 + 1e-14)) << "step " << step << ": " << cost << " after " << last;
    last = cost;
  }
  EXPECT_LT(last, 0.7 * first);
  // It settles: where a noise's datum still changes, it is for one close by.
  EXPECT_LT(fed.coupling->statistics().conditional_variance, 0.1 * total_variance(data, 0));
}

TEST(OnlineCoupling, APairIsWhatTheStateSays) {
  const Dataset data = open_dataset("moons");
  const Source source = open_source(NamedSource("gaussian-fit"), data);
  const CouplingOptions options{.batch = 7, .own = {{"bank", 31}, {"caches", 3}}, .seed = 5};
  const Bank bank(source, data, options);
  Fed fed(source, data, options);
  for (std::uint64_t step = 0; step < 20; ++step) {
    fed.feed(step);
    const Places tau = fed.tau();
    for (std::int64_t i = 0; i < options.batch; ++i) {
      // The noise's number by its coordinates; its datum by tau.
      std::int64_t number = -1, place = -1;
      for (std::int64_t a = 0; a < 93; ++a)
        if (bank.noise[2 * a] == fed.x0(i, 0) && bank.noise[2 * a + 1] == fed.x0(i, 1)) number = a;
      ASSERT_GE(number, 0) << "step " << step << ": row " << i << " is no noise of the bank";
      for (std::int64_t p = 0; p < 93; ++p)
        if (tau[p] == number) place = p;
      for (std::int64_t k = 0; k < 2; ++k) ASSERT_EQ(fed.x1(i, k), bank.rows[place / 3 * 2 + k]) << step << " " << i;
    }
  }
}

TEST(OnlineCoupling, EveryPlaceIsVisitedOnceAPassAndNoneIsLeftOutForGood) {
  std::vector<float> values(25);
  std::iota(values.begin(), values.end(), 0.0f);
  const Dataset data = Dataset::points("numbers", values, 1);
  Fed fed(Source::gaussian(1), data, {.batch = 4, .seed = 1});  // 6 steps a pass, one datum left out
  std::vector<int> visits(25, 0);
  for (std::uint64_t pass = 0; pass < 60; ++pass) {
    std::vector<int> before = visits;
    for (std::uint64_t k = 0; k < 6; ++k) {
      fed.feed(pass * 6 + k);
      for (std::int64_t i = 0; i < 4; ++i) ++visits[static_cast<std::size_t>(fed.x1(i, 0))];
    }
    for (std::size_t j = 0; j < visits.size(); ++j) ASSERT_LE(visits[j] - before[j], 1) << "pass " << pass;
  }
  EXPECT_GE(*std::ranges::min_element(visits), 45);
}

TEST(OnlineCoupling, GoesOnFromAnyStepBitForBit) {
  const Dataset data = open_dataset("checkerboard");
  const Source source = open_source(NamedSource("gaussian"), data);
  const CouplingOptions options{.batch = 13, .own = {{"bank", 101}}, .seed = 9};  // 7 steps a pass
  Fed whole(source, data, options);
  std::vector<CouplingState> states;  // after each step
  std::vector<std::vector<float>> pairs;
  for (std::uint64_t step = 0; step < 40; ++step) {
    whole.feed(step);
    states.push_back(whole.coupling->state());
    pairs.push_back(whole.pairs());
  }
  for (std::uint64_t cut : {1, 3, 7, 8, 13, 14, 20, 39}) {
    Fed rest(source, data, options, states[cut - 1]);
    for (std::uint64_t step = cut; step < 40; ++step) {
      rest.feed(step);
      ASSERT_EQ(rest.pairs(), pairs[step]) << "cut at " << cut << ", step " << step;
      ASSERT_EQ(rest.coupling->state(), states[step]) << "cut at " << cut << ", step " << step;
    }
  }
}

TEST(OnlineCoupling, FeedingAStepTwiceChangesNothing) {
  const Dataset data = open_dataset("rings");
  Fed fed(open_source(NamedSource("gaussian"), data), data, {.batch = 8, .own = {{"bank", 64}}});
  for (std::uint64_t step = 0; step < 5; ++step) fed.feed(step);
  const Places tau = fed.tau();
  const std::vector<float> pairs = fed.pairs();
  fed.feed(4);
  EXPECT_EQ(fed.tau(), tau);
  EXPECT_EQ(fed.pairs(), pairs);
}

TEST(OnlineCoupling, ABatchAsLargeAsTheBankIsTheOptimumAtOnce) {
  std::vector<float> values(37);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 17 % 37);
  const Dataset data = Dataset::points("numbers", values, 1);
  const CouplingOptions options{.batch = 37, .seed = 2};
  const Bank bank(Source::gaussian(1), data, options);
  Fed fed(Source::gaussian(1), data, options);
  fed.feed(0);
  const Places tau = fed.tau();
  EXPECT_TRUE(std::isnan(fed.coupling->statistics().conditional_variance)) << "no noise has met two data yet";
  // In one dimension the optimum pairs in order.
  std::vector<float> noise = bank.noise;
  std::ranges::sort(noise);
  for (std::size_t place = 0; place < tau.size(); ++place)
    EXPECT_EQ(bank.noise[tau[place]], noise[static_cast<std::size_t>(values[place])]);
  fed.feed(1);
  EXPECT_EQ(fed.tau(), tau);
  EXPECT_EQ(fed.coupling->statistics().conditional_variance, 0);
  EXPECT_NEAR(fed.coupling->statistics().mean_cost, bank.cost(tau) / 37, 1e-9 * bank.cost(tau));
}

TEST(OnlineCoupling, EqualDataChangeNothing) {
  const Dataset data = Dataset::points("constant", std::vector<float>(2 * 20, 1.5f), 2);
  Fed fed(Source::gaussian(2), data, {.batch = 5});
  const Places tau = fed.tau();
  for (std::uint64_t step = 0; step < 12; ++step) fed.feed(step);
  EXPECT_EQ(fed.tau(), tau);
}

TEST(OnlineCoupling, OneDatumIsABank) {
  Fed fed(Source::gaussian(3), Dataset::points("one", {1, 2, 3}, 3), {.batch = 1});
  for (std::uint64_t step = 0; step < 3; ++step) fed.feed(step);
  EXPECT_EQ(fed.tau(), Places{0});
  EXPECT_EQ(fed.x1(0, 2), 3);
}

TEST(OnlineCoupling, RefusesWhatDoesNotFit) {
  const Dataset data = open_dataset("moons");
  const Source source = open_source(NamedSource("gaussian"), data);
  EXPECT_THROW(Fed(source, data, {.batch = 65, .own = {{"bank", 64}}}), InputError);
  EXPECT_THROW(Fed(source, data, {.batch = 0, .own = {{"bank", 64}}}), InputError);
  EXPECT_THROW(Fed(source, data, {.batch = 1, .own = {{"bank", 0}}}), InputError);
  EXPECT_THROW(Fed(source, data, {.batch = 1, .own = {{"bank", 8}, {"caches", 0}}}), InputError);
  const CouplingOptions options{.batch = 2, .own = {{"bank", 4}}};
  EXPECT_THROW(Fed(source, data, options, state_of({0, 1, 2})), InputError);
  EXPECT_THROW(Fed(source, data, options, state_of({0, 1, 2, 2})), InputError);
  EXPECT_THROW(Fed(source, data, options, state_of({0, 1, 2, 4})), InputError);
  EXPECT_THROW(Fed(source, data, options, state_of({0, 1, 2, -1})), InputError);
  EXPECT_NO_THROW(Fed(source, data, options, state_of({3, 1, 2, 0})));
}

}  // namespace
}  // namespace otnfm
