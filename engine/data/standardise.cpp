#include "engine/data/standardise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm {
namespace {

constexpr std::int64_t kDraws = 65536;            // that stand for an endless set
constexpr double kDominated = 10, kTooFar = 1e4;  // deviations
constexpr std::int64_t kManyColumns = 64;
constexpr double kOfOneKind = 10;
constexpr float kLeastScale = 1e-37f;  // its inverse is finite

constexpr StandardiseMethod kMethods[] = {
    {"automatic", "columns for a file, scalar where it looks like pictures; none for the rest"},
    {"none", "the data as they are"},
    {"scalar", "one unit for all columns"},
    {"columns", "each column has its own"},
};

void check_method(const std::string& method) {
  std::string names;
  for (const StandardiseMethod& known : kMethods) {
    if (method == known.name) return;
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  throw InputError(fmt::format("unknown standardisation \"{}\"; known are {}", method, names));
}

struct Column {
  double mean = 0, deviation = 0;
  float first = 0;
  bool constant = true, dominated = false;
  std::int64_t farthest = 0;  // row
  double distance = 0;        // of it from the mean
};

void measure(const std::vector<double>& values, std::size_t begin, std::size_t end, double& mean, double& deviation) {
  const auto n = static_cast<double>(end - begin);
  double sum = 0, square = 0;
  for (std::size_t i = begin; i < end; ++i) sum += (values[i] - values[begin]) / n;
  mean = values[begin] + sum;
  for (std::size_t i = begin; i < end; ++i) square += (values[i] - mean) * (values[i] - mean) / n;
  deviation = std::sqrt(square);
}

Column column_of(View<const float> rows, std::int64_t j) {
  const auto n = static_cast<std::size_t>(rows.rows());
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<double>(rows(static_cast<std::int64_t>(i), j));
  Column column{.first = rows(0, j)};
  measure(values, 0, n, column.mean, column.deviation);
  double farthest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (values[i] != values[0]) column.constant = false;
    farthest = std::max(farthest, std::abs(values[i] - column.mean));
  }
  // A few rows can hold nearly all of the variance only where one of them lies as far out as this.
  const std::size_t trimmed = std::max<std::size_t>(1, n / 100);
  const double few = 0.9 * std::sqrt(static_cast<double>(n) / static_cast<double>(2 * trimmed));
  if (n >= 8 && farthest > few * column.deviation) {
    std::vector<double> sorted = values;
    std::ranges::sort(sorted);
    double mean = 0, deviation = 0;
    measure(sorted, trimmed, n - trimmed, mean, deviation);
    if (deviation > 0 && column.deviation > kDominated * deviation) {
      column.mean = mean;
      column.deviation = deviation;
      column.dominated = true;
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const double distance = std::abs(values[i] - column.mean);
    if (distance <= column.distance) continue;
    column.distance = distance;
    column.farthest = static_cast<std::int64_t>(i);
  }
  return column;
}

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

std::string chosen(const std::string& method, const std::vector<Column>& columns) {
  if (method != "automatic") return method;
  std::vector<double> deviations;
  deviations.reserve(columns.size());
  for (const Column& column : columns) deviations.push_back(column.deviation);
  const bool of_one_kind = std::ranges::max(deviations) <= kOfOneKind * median_of(deviations);
  return static_cast<std::int64_t>(columns.size()) > kManyColumns && of_one_kind ? "scalar" : "columns";
}

void add_notes(const Dataset& data, const std::vector<Column>& columns, std::vector<std::string>& notes) {
  std::vector<std::int64_t> constant, dominated, drowned;
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const Column& column = columns[j];
    const auto number = static_cast<std::int64_t>(j);
    if (column.constant)
      constant.push_back(number);
    else if (column.deviation < 16 * static_cast<double>(FLT_EPSILON) * std::abs(column.mean))
      drowned.push_back(number);
    if (column.dominated) dominated.push_back(number);
  }
  const auto others = [](const std::vector<std::int64_t>& list) {
    return list.size() > 1 ? fmt::format(", and {} more like it", list.size() - 1) : std::string();
  };
  if (!constant.empty())
    notes.push_back(fmt::format("{}: column {} is constant ({}){}", data.name(), constant.front(),
                                columns[static_cast<std::size_t>(constant.front())].first, others(constant)));
  if (!drowned.empty()) {
    const Column& column = columns[static_cast<std::size_t>(drowned.front())];
    notes.push_back(fmt::format(
        "{}: column {} varies by {:.3g} about {:.9g}, of which float32 holds steps of {:.2g}: subtract an offset "
        "first{}",
        data.name(), drowned.front(), column.deviation, column.mean,
        std::abs(column.mean) * static_cast<double>(FLT_EPSILON), others(drowned)));
  }
  if (!dominated.empty()) {
    const Column& column = columns[static_cast<std::size_t>(dominated.front())];
    notes.push_back(fmt::format(
        "{}: row {} of column {} is {:.3g} deviations of the others away: they alone set the "
        "scale{}",
        data.name(), column.farthest, dominated.front(), column.distance / column.deviation, others(dominated)));
  }
}

FloatRows draws_of(const Dataset& data) {
  auto drawn = std::make_shared<std::vector<float>>(static_cast<std::size_t>(kDraws * data.dimension()));
  data.draw({}, {drawn->data(), {kDraws, data.dimension()}});
  return {std::move(drawn), data.dimension()};
}

void require_near(const Dataset& data, View<const float> rows, const std::vector<Column>& columns) {
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const Column& column = columns[j];
    if (!column.dominated || column.distance <= kTooFar * column.deviation) continue;
    throw InputError(
        fmt::format("{}: row {}, column {} (counted from 0) is {:.9g}, {:.2g} deviations from the mean of the others, "
                    "{:.6g}: no map "
                    "is trained well beside it; take it out, or say --standardise none",
                    data.name(), column.farthest, j, rows(column.farthest, static_cast<std::int64_t>(j)),
                    column.distance / column.deviation, column.mean));
  }
}

}  // namespace

std::span<const StandardiseMethod> standardise_methods() {
  return kMethods;
}

StandardisedData standardise(const Dataset& data, const std::string& method) {
  check_method(method);
  const bool normal = data.endless() && !data.kind();
  const bool as_it_is = method == "automatic" && (data.endless() || data.is_images());
  if (method == "none" || normal || as_it_is) return {};

  const std::int64_t d = data.dimension();
  const FloatRows numbers = data.endless() ? draws_of(data) : data.float_rows();
  const View<const float> rows = numbers.view();
  std::vector<Column> columns(static_cast<std::size_t>(d));
  host::parallel_rows(d, 64 * rows.rows(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) columns[static_cast<std::size_t>(j)] = column_of(rows, j);
  });
  StandardisedData result;
  result.method = chosen(method, columns);
  require_near(data, rows, columns);
  add_notes(data, columns, result.notes);

  double squares = 0;
  for (const Column& column : columns) squares += column.deviation * column.deviation / static_cast<double>(d);
  const double common = std::sqrt(squares);
  for (const Column& column : columns) {
    const double deviation = result.method == "scalar" ? common : column.deviation;
    const bool constant = !(deviation > 0) || (column.constant && result.method == "columns");
    result.standardisation.shift.push_back(constant ? column.first : static_cast<float>(column.mean));
    result.standardisation.scale.push_back(constant ? Standardisation::scale_of_constant(column.first)
                                                    : std::max(static_cast<float>(deviation), kLeastScale));
  }
  return result;
}

StandardisedData standardise_source(const NamedSource& source, const StandardisedData& target,
                                    const std::string& method) {
  if (source.data) return standardise(*source.data, method);
  if (source.name == "gaussian") return {};
  return {.method = target.method, .standardisation = target.standardisation, .notes = {}};
}

StandardisedPair standardise_pair(const NamedSource& source, const Dataset& target,
                                  const FlowCoordinates& coordinates) {
  const Dataset standardised = target.standardised(coordinates.target);
  const Source opened = open_source(source, standardised);
  const bool fitted = opened.parameters() != nullptr;
  return {.coordinates = coordinates,
          .about = "as before",
          .target = standardised,
          .source = fitted ? opened : opened.standardised(coordinates.source),
          .raw_source = fitted ? opened.unstandardised(coordinates.source) : opened,
          .notes = {}};
}

StandardisedPair standardise_pair(const NamedSource& source, const Dataset& target, const std::string& method) {
  StandardisedData of_target = standardise(target, method), of_source = standardise_source(source, of_target, method);
  StandardisedPair pair = standardise_pair(
      source, target, FlowCoordinates{.source = of_source.standardisation, .target = of_target.standardisation});
  pair.about = fmt::format("data by {}, source by {}", of_target.method, of_source.method);
  pair.notes = std::move(of_target.notes);
  pair.notes.insert(pair.notes.end(), of_source.notes.begin(), of_source.notes.end());
  return pair;
}

}  // namespace otnfm
