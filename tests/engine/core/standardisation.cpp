// Standardised coordinates: how they are found in data, and that all that looks at a flow gives raw numbers.
#include "engine/data/standardise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numbers>

#include "engine/data/record_draw.h"
#include "engine/generate/log_likelihood.h"
#include "engine/metrics/collapse.h"
#include "layers/maps/flow_map.h"
#include "layers/maps/inverse.h"
#include "layers/maps/jacobian.h"
#include "tests/engine/api/models.h"

namespace otnfm::test {
namespace {

Dataset data_of(const std::vector<std::vector<float>>& columns, const std::string& name = "table") {
  std::vector<float> values;
  for (std::size_t i = 0; i < columns.front().size(); ++i)
    for (const std::vector<float>& column : columns) values.push_back(column[i]);
  return Dataset::points(name, values, static_cast<std::int64_t>(columns.size()));
}

/// n normal numbers, standardised exactly and then scaled and moved.
std::vector<float> normal_column(std::mt19937_64& random, std::size_t n, double mean, double deviation) {
  std::normal_distribution<double> normal;
  std::vector<double> values(n);
  double sum = 0, square = 0;
  for (double& value : values) sum += value = normal(random);
  for (double& value : values) value -= sum / static_cast<double>(n), square += value * value;
  std::vector<float> column;
  column.reserve(n);
  for (const double value : values)
    column.push_back(static_cast<float>(mean + deviation * value / std::sqrt(square / static_cast<double>(n))));
  return column;
}

void expect_standard(const Dataset& data) {
  for (std::int64_t j = 0; j < data.dimension(); ++j) {
    double sum = 0, square = 0;
    for (std::int64_t i = 0; i < data.count(); ++i) {
      const double value = data.rows_in_place()(i, j);
      sum += value / static_cast<double>(data.count());
      square += value * value / static_cast<double>(data.count());
    }
    EXPECT_NEAR(sum, 0, 1e-3) << j;
    EXPECT_NEAR(square, 1, 1e-3) << j;
  }
}

TEST(Standardisation, IsOfEachColumn) {
  std::mt19937_64 random(1);
  const Dataset table = data_of({normal_column(random, 500, 40, 12), normal_column(random, 500, 4e4, 3e4),
                                 normal_column(random, 500, 1e3, 1), normal_column(random, 500, -1e-4, 1e-6)});
  const StandardisedData found = standardise(table, "automatic");
  EXPECT_EQ(found.method, "columns");
  EXPECT_TRUE(found.notes.empty());
  const double means[] = {40, 4e4, 1e3, -1e-4}, deviations[] = {12, 3e4, 1, 1e-6};
  for (std::size_t j = 0; j < 4; ++j) {
    EXPECT_NEAR(found.standardisation.shift[j], means[j], 1e-4 * deviations[j]) << j;
    EXPECT_NEAR(found.standardisation.scale[j], deviations[j], 1e-4 * deviations[j]) << j;
  }
  expect_standard(table.standardised(found.standardisation));
}

TEST(Standardisation, ByOneScalarKeepsProportions) {
  std::mt19937_64 random(2);
  const Dataset table = data_of({normal_column(random, 300, 7, 3), normal_column(random, 300, -7, 4)});
  const Standardisation found = standardise(table, "scalar").standardisation;
  EXPECT_NEAR(found.shift[0], 7, 1e-5);
  EXPECT_NEAR(found.shift[1], -7, 1e-5);
  EXPECT_EQ(found.scale[0], found.scale[1]);
  EXPECT_NEAR(found.scale[0], std::sqrt(12.5), 1e-5);
}

TEST(Standardisation, IsTheIdentityWhereNothingIsToBeDone) {
  for (const char* name : {"8gaussians", "moons", "gaussian", "gaussian:5"})
    EXPECT_TRUE(standardise(open_dataset(name), "automatic").standardisation.identity()) << name;
  const Dataset pictures = Dataset::images("pictures", std::vector<float>(48, 0.5f), {1, 4, 4});
  EXPECT_TRUE(standardise(pictures, "automatic").standardisation.identity());
  EXPECT_TRUE(standardise(open_dataset("gaussian:5"), "columns").standardisation.identity());
  EXPECT_FALSE(standardise(open_dataset("8gaussians"), "columns").standardisation.identity());
  std::mt19937_64 random(3);
  const Dataset table = data_of({normal_column(random, 50, 7, 3)});
  EXPECT_TRUE(standardise(table, "none").standardisation.identity());
  EXPECT_THROW(standardise(table, "rows"), InputError);
}

TEST(Standardisation, TakesManyColumnsOfOneKindForPictures) {
  std::mt19937_64 random(4);
  std::vector<std::vector<float>> columns;
  columns.reserve(65);
  for (int j = 0; j < 65; ++j) columns.push_back(normal_column(random, 40, 100, j < 20 ? 1e-3 : 50 + j));
  EXPECT_EQ(standardise(data_of(columns), "automatic").method, "scalar");
  columns.front() = normal_column(random, 40, 0, 1e5);
  EXPECT_EQ(standardise(data_of(columns), "automatic").method, "columns");
}

TEST(Standardisation, GivesAConstantColumnBack) {
  std::mt19937_64 random(5);
  for (const float constant : {0.0f, 1.0f, -1e4f, 3e-7f}) {
    const Dataset table = data_of({std::vector<float>(100, constant), normal_column(random, 100, 5, 2)});
    for (const char* method : {"columns", "scalar"}) {
      const StandardisedData found = standardise(table, method);
      ASSERT_EQ(found.notes.size(), 1u);
      EXPECT_NE(found.notes[0].find("constant"), std::string::npos);
      const Dataset moved = table.standardised(found.standardisation);
      for (std::int64_t i = 0; i < 100; ++i) EXPECT_NEAR(moved.rows_in_place()(i, 0), 0, 1e-5);
      if (method == std::string("scalar")) continue;
      EXPECT_EQ(found.standardisation.constant_column(), 0);
      // A map that is a little off in this column still gives the constant.
      const std::vector<float> u = {0.3f, 0, -7, 0};
      std::vector<float> x(4);
      found.standardisation.undo({u.data(), {2, 2}}, {x.data(), {2, 2}});
      EXPECT_NEAR(x[0], constant, 1e-29);
      EXPECT_NEAR(x[2], constant, 1e-29);
    }
  }
}

TEST(Standardisation, IsNotLedByAFewRows) {
  std::mt19937_64 random(6);
  for (const std::size_t n : {20u, 2000u}) {
    // A few deviations out: the others set the scale, and it is said.
    std::vector<float> column = normal_column(random, n, 10, 2);
    column[7] = 3000;
    const Dataset table = data_of({normal_column(random, n, 0, 1), column});
    const StandardisedData found = standardise(table, "columns");
    EXPECT_NEAR(found.standardisation.shift[1], 10, 1.5);
    EXPECT_NEAR(found.standardisation.scale[1], 2, 1);
    ASSERT_EQ(found.notes.size(), 1u);
    EXPECT_NE(found.notes[0].find("row 7 of column 1"), std::string::npos) << found.notes[0];
    // Beside what no map can learn the entry is named.
    for (const float outlier : {1e8f, -3.4e38f}) {
      column[7] = outlier;
      const Dataset wrong = data_of({normal_column(random, n, 0, 1), column});
      for (const char* method : {"columns", "scalar", "automatic"}) try {
          (void)standardise(wrong, method);
          ADD_FAILURE() << outlier;
        } catch (const InputError& error) {
          EXPECT_NE(std::string(error.what()).find("row 7, column 1"), std::string::npos) << error.what();
        }
      EXPECT_TRUE(standardise(wrong, "none").standardisation.identity());
    }
  }
  // A column of two values is no outlier, however rare one of them is.
  std::vector<float> rare(1000, 0.0f);
  rare[3] = 1e8f;
  const StandardisedData found = standardise(data_of({rare}), "columns");
  EXPECT_TRUE(found.notes.empty());
  EXPECT_NEAR(found.standardisation.scale[0], 1e8 * std::sqrt(0.001 * 0.999), 1);
}

TEST(Standardisation, SaysWhereFloat32DoesNotResolveAColumn) {
  std::mt19937_64 random(7);
  const StandardisedData found = standardise(data_of({normal_column(random, 400, 1e8, 3)}), "columns");
  ASSERT_EQ(found.notes.size(), 1u);
  EXPECT_NE(found.notes[0].find("offset"), std::string::npos) << found.notes[0];
}

TEST(Standardisation, MovesBothEndsOfAPair) {
  std::mt19937_64 random(8);
  const Dataset target = data_of({normal_column(random, 400, 1e3, 2), normal_column(random, 400, -5, 1e-3)});
  // N(0, I) is what it was.
  const StandardisedPair from_noise = standardise_pair(NamedSource("gaussian"), target, "automatic");
  EXPECT_TRUE(from_noise.coordinates.source.identity());
  expect_standard(from_noise.target);
  // A fit is to the standardised data, and raw it has the moments of the data.
  const StandardisedPair fitted = standardise_pair(NamedSource("gaussian-fit"), target, "automatic");
  EXPECT_EQ(fitted.coordinates.source.shift, fitted.coordinates.target.shift);
  std::vector<float> raw(2 * 4000), moved(raw.size()), drawn(raw.size());
  const View<float> x(raw.data(), {4000, 2}), u(moved.data(), {4000, 2}), v(drawn.data(), {4000, 2});
  fitted.raw_source.draw({.seed = 3}, x);
  fitted.source.draw({.seed = 3}, v);
  fitted.coordinates.source.apply(View<const float>(x), u);
  for (std::size_t i = 0; i < drawn.size(); ++i) EXPECT_NEAR(moved[i], drawn[i], 1e-3);
  EXPECT_NEAR(covariance_trace(View<const float>(v)), 2, 0.1);
  // A distribution that is asked for is standardised by draws, on the host and on a tape.
  const StandardisedPair moons = standardise_pair(NamedSource("moons"), target, "columns");
  moons.source.draw({.seed = 3}, v);
  EXPECT_NEAR(covariance_trace(View<const float>(v)), 2, 0.1);
  const std::uint64_t step = 0;
  Tape tape(Device::cpu);
  HeldMemory held;
  const Tensor on_tape = record_draw(tape, moons.source, 4000, {.seed = 3, .step = {&step, {1}}}, 1, held);
  tape.keep(on_tape);
  tape.plan();
  tape.run(host_stream());
  for (std::int64_t i = 0; i < 8000; ++i)
    ASSERT_NEAR(tape.view(on_tape).data[i], drawn[static_cast<std::size_t>(i)], 1e-5);
}

/// The same flow twice, once with coordinates.
struct Twins {
  Model plain, moved;
  FlowCoordinates coordinates;
  Twins(const nlohmann::json& flow, const char* source)
      : plain(make_model(flow, source, Device::cpu, 11)), moved(make_model(flow, source, Device::cpu, 11)) {
    std::mt19937_64 random(12);
    const std::int64_t d = plain.dimension();
    coordinates = {.source = draw_standardisation(random, d), .target = draw_standardisation(random, d)};
    moved.flow->coordinates = coordinates;
  }
};

TEST(Standardisation, IsUndoneByAllThatLooksAtAFlow) {
  constexpr std::int64_t n = 6, d = 3;
  for (const nlohmann::json& flow :
       {nlohmann::json{{"family", "coupling"}, {"dimension", d}, {"blocks", 2}, {"width", 9}, {"depth", 1}},
        nlohmann::json{
            {"family", "resnet"}, {"dimension", d}, {"blocks", 2}, {"width", 9}, {"depth", 1}, {"invertible", true}}}) {
    const Twins twins(flow, "gaussian");
    std::mt19937_64 random(13);
    std::vector<float> raw = draw_values(random, n * d, 2), u(raw.size()), y(raw.size()), image(raw.size());
    const std::vector<float> times = {0, 0.25f, 0.5f, 0.75f, 1, 1};
    const View<const float> t(times.data(), {n, 1}), x(raw.data(), {n, d});
    const View<float> at(u.data(), {n, d}), got(y.data(), {n, d}), wanted(image.data(), {n, d});
    FlowMap(*twins.moved.flow, Device::cpu)(t, x, got);
    const auto value = [&](const Standardisation& s, std::int64_t j, bool scale) {
      return static_cast<double>(scale ? s.scale[static_cast<std::size_t>(j)] : s.shift[static_cast<std::size_t>(j)]);
    };
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < d; ++j)
        at(i, j) = static_cast<float>((x(i, j) - value(twins.coordinates.source, j, false)) /
                                      value(twins.coordinates.source, j, true));
    FlowMap(*twins.plain.flow, Device::cpu)(t, View<const float>(at), wanted);
    double volume[n] = {};
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < d; ++j) {
        const double time = t(i, 0), f = wanted(i, j);
        const auto end = [&](const Standardisation& s) { return value(s, j, false) + value(s, j, true) * f; };
        EXPECT_NEAR(got(i, j), (1 - time) * end(twins.coordinates.source) + time * end(twins.coordinates.target), 1e-4);
        volume[i] += std::log(
            ((1 - time) * value(twins.coordinates.source, j, true) + time * value(twins.coordinates.target, j, true)) /
            value(twins.coordinates.source, j, true));
      }
    for (std::int64_t j = 0; j < d; ++j) EXPECT_NEAR(got(0, j), x(0, j), 1e-5);  // t = 0

    std::vector<float> back(raw.size()), values(n * d * d), other(raw.size());
    FlowInverse(*twins.moved.flow, Device::cpu)(t, View<const float>(got), {back.data(), {n, d}});
    for (std::size_t i = 0; i < back.size(); ++i) EXPECT_NEAR(back[i], raw[i], 1e-4);

    // The Jacobian against differences of the raw map, and its determinant against both twins'.
    Jacobian(*twins.moved.flow, Device::cpu)(t, x, {other.data(), {n, d}}, {values.data(), {n, d, d}});
    for (std::size_t i = 0; i < other.size(); ++i) EXPECT_NEAR(other[i], y[i], 1e-5 * (1 + std::abs(y[i])));
    const LogDeterminants plain = LogDeterminant(*twins.plain.flow, Device::cpu)(t, View<const float>(at)),
                          moved = LogDeterminant(*twins.moved.flow, Device::cpu)(t, x);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto k = static_cast<std::size_t>(i);
      EXPECT_NEAR(moved.values[k], plain.values[k] + volume[i], 1e-4);
      EXPECT_NEAR(log_abs_determinant({values.data() + i * d * d, {d, d}}), moved.values[k], 1e-3);
    }
    for (std::int64_t j = 0; j < d; ++j) {
      std::vector<float> stepped = raw, after(raw.size());
      for (std::int64_t i = 0; i < n; ++i) stepped[static_cast<std::size_t>(i * d + j)] += 0.01f;
      FlowMap(*twins.moved.flow, Device::cpu)(t, {stepped.data(), {n, d}}, {after.data(), {n, d}});
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t k = 0; k < d; ++k) {
          const double slope = (after[static_cast<std::size_t>(i * d + k)] - got(i, k)) / 0.01;
          EXPECT_NEAR(values[static_cast<std::size_t>((i * d + k) * d + j)], slope, 0.05 * (1 + std::abs(slope)));
        }
    }
  }
}

TEST(Standardisation, IsUndoneInTheLikelihood) {
  // The flow is the identity, so that the density is known: of y = shift + scale x0.
  Model model = make_model({{"family", "coupling"}, {"dimension", 2}, {"blocks", 1}, {"width", 3}, {"depth", 1}},
                           "gaussian", Device::cpu, 1);
  const View<float> weights = model.flow->parameters().values();
  std::fill_n(weights.data, weights.size(), 0.0f);
  model.flow->coordinates.target = {.shift = {1000, -2}, .scale = {0.5f, 20}};
  const std::vector<float> y = {1000.25f, 18, 999, -42};
  const std::vector<double> found = LogLikelihood(model, Device::cpu)({y.data(), {2, 2}}).values;
  const double constant = -std::log(2 * std::numbers::pi) - std::log(0.5 * 20);
  EXPECT_NEAR(found[0], constant - 0.5 * (0.25 + 1), 1e-5);
  EXPECT_NEAR(found[1], constant - 0.5 * (4 + 4), 1e-5);
  model.flow->coordinates.target.scale[1] = Standardisation::scale_of_constant(-2);
  EXPECT_THROW(LogLikelihood(model, Device::cpu), InputError);
  EXPECT_THROW(Generator(std::move(model), Device::cpu).prepare(3, {.log_prob = true}), InputError);
}

TEST(Standardisation, IsKeptInTheModelFile) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("otnfm-standardised-" + std::to_string(std::random_device{}())))
          .string();
  Stream stream(Device::cpu);
  const Dataset data = Dataset::gaussian(3);
  const auto write = [&](const FlowCoordinates& coordinates) {
    Model model{make_flow(small_flow(3, 8)), Source::gaussian(3), {}};
    model.flow->parameters().allocate(Device::cpu, 5);
    model.flow->coordinates = coordinates;
    save_model(
        path, *model.flow, model.source, stream,
        model_configuration(*model.flow, model.source, data,
                            {{"data", "gaussian:3"}, {"training", nlohmann::json::object()}, {"steps_done", 1}}));
    return load_model(path, Device::cpu);
  };
  std::mt19937_64 random(9);
  const FlowCoordinates coordinates{.source = draw_standardisation(random, 3),
                                    .target = draw_standardisation(random, 3)};
  const Model read = write(coordinates);
  EXPECT_EQ(read.flow->coordinates.source.shift, coordinates.source.shift);
  EXPECT_EQ(read.flow->coordinates.source.scale, coordinates.source.scale);
  EXPECT_EQ(read.flow->coordinates.target.shift, coordinates.target.shift);
  EXPECT_EQ(read.flow->coordinates.target.scale, coordinates.target.scale);
  EXPECT_EQ(read.configuration["version"], 2);
  const Model plain = write({});
  EXPECT_TRUE(plain.flow->coordinates.identity());
  EXPECT_EQ(plain.configuration["version"], 1);
  for (const float wrong : {0.0f, -1.0f, NAN, INFINITY}) {
    FlowCoordinates bad = coordinates;
    bad.target.scale[1] = wrong;
    EXPECT_THROW(write(bad), InputError) << wrong;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace otnfm::test
