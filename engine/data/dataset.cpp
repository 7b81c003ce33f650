#include "engine/data/dataset.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/data/random_permutation.h"
#include "engine/io/array_file.h"
#include "engine/io/cifar10.h"
#include "engine/io/idx.h"
#include "kernels/check.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm {
namespace {

constexpr std::uint32_t kHoldOutStream = 0x401d;  // engine/data/random_streams.h has those of training

void check_output(const char* where, View<float> out, std::int64_t dimension) {
  require(out.rank == 2, where, "the output must be a matrix", describe(out));
  require_matrix(where, "the output", out, out.rows(), dimension);
}

std::vector<float> values_of_pixels(const std::vector<std::uint8_t>& pixels) {
  std::vector<float> values(pixels.size());
  std::transform(pixels.begin(), pixels.end(), values.begin(), value_of_pixel);
  return values;
}

// "mnist:DIR" is ("mnist", "DIR"); what has no such prefix is ("", spec).
bool take_prefix(const std::string& spec, const char* prefix, std::string& rest) {
  if (spec.rfind(prefix, 0) != 0) return false;
  rest = spec.substr(std::char_traits<char>::length(prefix));
  if (rest.empty()) throw InputError(fmt::format("data \"{}\": something must follow the colon", spec));
  return true;
}

Dataset open_mnist(const std::string& spec, const std::string& folder) {
  const Mnist train = load_mnist(folder, Split::train), test = load_mnist(folder, Split::test);
  if (train.images.rows != test.images.rows || train.images.columns != test.images.columns)
    throw InputError(fmt::format("{}: training images are {} by {}, test images {} by {}", folder, train.images.rows,
                                 train.images.columns, test.images.rows, test.images.columns));
  Dataset data =
      Dataset::images(spec, values_of_pixels(train.images.pixels), {train.images.rows, train.images.columns, 1});
  data.set_test_split(values_of_pixels(test.images.pixels));
  return data;
}

Dataset open_cifar10(const std::string& spec, const std::string& folder) {
  Dataset data = Dataset::images(spec, values_of_pixels(load_cifar10(folder, Split::train).pixels),
                                 {Cifar10::kHeight, Cifar10::kWidth, Cifar10::kChannels});
  data.set_test_split(values_of_pixels(load_cifar10(folder, Split::test).pixels));
  return data;
}

std::int64_t parse_dimension(const std::string& spec, const std::string& text) {
  std::int64_t dimension = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), dimension);
  if (error != std::errc() || end != text.data() + text.size() || dimension < 1 || dimension > (1 << 24))
    throw InputError(fmt::format("data \"{}\": the dimension must be a number from 1 to {}", spec, 1 << 24));
  return dimension;
}

}  // namespace

const std::string& dataset_names() {
  static const std::string names = [] {
    std::string list;
    for (const std::string_view name : distribution_names()) list += std::string(name) + ", ";
    return list + "gaussian, gaussian:DIMENSION, mnist:DIR, cifar10:DIR, or [n, d] of " + array_file_names();
  }();
  return names;
}

float value_of_pixel(std::uint8_t pixel) {
  return static_cast<float>(pixel) / 127.5f - 1.0f;
}

Dataset Dataset::distribution(DistributionKind kind) {
  Dataset data;
  data.name_ = name_of(kind);
  data.dimension_ = 2;
  data.sample_shape_ = {2};
  data.kind_ = kind;
  return data;
}

Dataset Dataset::gaussian(std::int64_t dimension) {
  if (dimension < 1) throw InputError(fmt::format("a gaussian of dimension {}: it must be at least 1", dimension));
  Dataset data;
  data.name_ = "gaussian";
  data.dimension_ = dimension;
  data.sample_shape_ = {dimension};
  return data;
}

Dataset Dataset::points(std::string name, std::vector<float> values, std::int64_t dimension) {
  if (dimension < 1 || values.empty())
    throw InputError(fmt::format("{}: holds no data ({} numbers, {} columns)", name, values.size(), dimension));
  if (values.size() % static_cast<std::size_t>(dimension) != 0)
    throw InputError(fmt::format("{}: {} numbers do not make rows of {}", name, values.size(), dimension));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw InputError(fmt::format("{}: row {}, column {} (counted from 0) is {}", name,
                                   i / static_cast<std::size_t>(dimension), i % static_cast<std::size_t>(dimension),
                                   values[i]));
  Dataset data;
  data.name_ = std::move(name);
  data.dimension_ = dimension;
  data.sample_shape_ = {dimension};
  data.rows_ = std::make_shared<const std::vector<float>>(std::move(values));
  return data;
}

Dataset Dataset::images(std::string name, std::vector<float> values, const Shape& shape) {
  if (!is_image(shape) || *std::min_element(shape.begin(), shape.end()) < 1)
    throw InputError(fmt::format("{}: images of shape [{}]", name, fmt::join(shape, ", ")));
  Dataset data = points(std::move(name), std::move(values), size_of(shape));
  data.sample_shape_ = shape;
  return data;
}

Dataset Dataset::test_split() const {
  if (!test_rows_) throw InputError(fmt::format("{}: has no test set", name_));
  Dataset test = *this;
  test.name_ += " (test)";
  test.rows_ = std::exchange(test.test_rows_, nullptr);
  return test;
}

void Dataset::set_test_split(std::vector<float> values) {
  test_rows_ = points(name_ + " (test)", std::move(values), dimension_).rows_;
}

Dataset Dataset::standardised(const Standardisation& standardisation) const {
  Dataset result = *this;
  if (standardisation.identity()) return result;
  if (static_cast<std::int64_t>(standardisation.shift.size()) != dimension_ || !standardisation_.identity())
    throw RunError(fmt::format("{}: {} columns cannot be standardised by {} numbers, or twice", name_, dimension_,
                               standardisation.shift.size()));
  const auto moved = [&](const std::shared_ptr<const std::vector<float>>& rows) {
    if (!rows) return rows;
    auto values = std::make_shared<std::vector<float>>(rows->size());
    const std::int64_t n = static_cast<std::int64_t>(rows->size()) / dimension_;
    standardisation.apply({rows->data(), {n, dimension_}}, {values->data(), {n, dimension_}});
    return std::shared_ptr<const std::vector<float>>(std::move(values));
  };
  result.rows_ = moved(rows_);
  result.test_rows_ = moved(test_rows_);
  if (endless()) result.standardisation_ = standardisation;
  return result;
}

Dataset Dataset::hold_out(double share, std::uint64_t seed) const {
  if (endless()) throw InputError(fmt::format("{}: is drawn without end, so that no rows need be held out", name_));
  if (test_rows_) throw InputError(fmt::format("{}: has a test set already, so that no rows need be held out", name_));
  const std::int64_t n = count(), held = std::llround(share * static_cast<double>(n));
  if (held < 1 || held >= n)
    throw InputError(
        fmt::format("{}: a share of {} of {} rows to be held out leaves {} and {}", name_, share, n, held, n - held));
  const RandomPermutation order(n, {.seed = seed, .stream = kHoldOutStream});
  std::vector<bool> is_held(static_cast<std::size_t>(n), false);
  for (std::int64_t i = 0; i < held; ++i) is_held[static_cast<std::size_t>(order(i))] = true;
  std::vector<float> kept, test;
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = rows().row(i);
    std::vector<float>& part = is_held[static_cast<std::size_t>(i)] ? test : kept;
    part.insert(part.end(), row, row + dimension_);
  }
  Dataset result = *this;
  result.rows_ = std::make_shared<const std::vector<float>>(std::move(kept));
  result.test_rows_ = std::make_shared<const std::vector<float>>(std::move(test));
  return result;
}

std::uint64_t Dataset::checksum() const {
  const View<const float> all = rows();
  return endless() ? 0
                   : crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(all.data),
                             static_cast<std::size_t>(all.size()) * sizeof(float));
}

void Dataset::copy_row(std::int64_t row, float* to) const {
  std::copy_n(rows_->data() + row * dimension_, dimension_, to);
}

void Dataset::draw(const DrawKey& key, View<float> out) const {
  check_output("Dataset::draw", out, dimension_);
  if (endless()) {
    if (kind_)
      sample_distribution(host_stream(), {.y = out, .key = random_key(key), .kind = *kind_});
    else
      normal(host_stream(), {.y = out, .key = random_key(key)});
    standardisation_.apply(View<const float>(out), out);
    return;
  }
  std::vector<std::int64_t> index(static_cast<std::size_t>(out.rows()));
  random_indices(host_stream(), {.index = {index.data(), {out.rows()}}, .key = random_key(key), .bound = count()});
  host::parallel_rows(out.rows(), dimension_, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) copy_row(index[static_cast<std::size_t>(i)], out.row(i));
  });
}

void Dataset::draw_rows(const DrawKey& key, View<const std::int64_t> rows, View<float> out) const {
  check_output("Dataset::draw_rows", out, dimension_);
  require_vector("Dataset::draw_rows", "rows", rows, out.rows());
  for (std::int64_t i = 0; i < out.rows(); ++i) draw(key.at_row(rows(i)), out.row_slice(i, 1));
}

void Dataset::draw_distinct(const DrawKey& key, View<float> out) const {
  if (endless()) return draw(key, out);
  check_output("Dataset::draw_distinct", out, dimension_);
  if (key.first_row < 0 || key.first_row + out.rows() > count())
    throw InputError(fmt::format("{}: rows {} to {} of {} cannot be drawn without repetition", name_, key.first_row,
                                 key.first_row + out.rows(), count()));
  const RandomPermutation permutation(count(), key);
  for (std::int64_t i = 0; i < out.rows(); ++i) copy_row(permutation(key.first_row + i), out.row(i));
}

Dataset open_dataset(const std::string& spec) {
  const auto names = distribution_names();
  if (const auto found = std::find(names.begin(), names.end(), spec); found != names.end())
    return Dataset::distribution(static_cast<DistributionKind>(found - names.begin()));
  if (spec == "gaussian") return Dataset::gaussian(2);
  std::string rest;
  if (take_prefix(spec, "gaussian:", rest)) return Dataset::gaussian(parse_dimension(spec, rest));
  if (take_prefix(spec, "mnist:", rest)) return open_mnist(spec, rest);
  if (take_prefix(spec, "cifar10:", rest)) return open_cifar10(spec, rest);
  if (is_array_file(spec)) {
    FloatMatrix matrix = read_matrix_float(spec);
    return Dataset::points(spec, std::move(matrix.values), matrix.columns);
  }
  throw InputError(fmt::format("unknown data \"{}\"; known are {}", spec, dataset_names()));
}

}  // namespace otnfm
