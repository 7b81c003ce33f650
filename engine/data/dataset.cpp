#include "engine/data/dataset.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <utility>

#include "engine/data/random_permutation.h"
#include "engine/io/array_file.h"
#include "engine/io/cifar10.h"
#include "engine/io/idx.h"
#include "engine/io/image_array.h"
#include "engine/io/png_reader.h"
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

// "mnist:DIR" is ("mnist", "DIR"); what has no such prefix is ("", spec).
bool take_prefix(const std::string& spec, const char* prefix, std::string& rest) {
  if (spec.rfind(prefix, 0) != 0) return false;
  rest = spec.substr(std::char_traits<char>::length(prefix));
  if (rest.empty()) throw InputError(fmt::format("data \"{}\": something must follow the colon", spec));
  return true;
}

Dataset open_mnist(const std::string& spec, const std::string& folder) {
  Mnist train = load_mnist(folder, Split::train), test = load_mnist(folder, Split::test);
  if (train.images.rows != test.images.rows || train.images.columns != test.images.columns)
    throw InputError(fmt::format("{}: training images are {} by {}, test images {} by {}", folder, train.images.rows,
                                 train.images.columns, test.images.rows, test.images.columns));
  const Shape shape = {train.images.rows, train.images.columns, 1};
  Dataset data = Dataset::images_of_bytes(spec, std::move(train.images.pixels), shape);
  data.set_test_images(std::move(test.images.pixels));
  data.set_labels(std::move(train.labels), std::move(test.labels));
  return data;
}

Dataset open_cifar10(const std::string& spec, const std::string& folder) {
  Cifar10 train = load_cifar10(folder, Split::train), test = load_cifar10(folder, Split::test);
  Dataset data =
      Dataset::images_of_bytes(spec, std::move(train.pixels), {Cifar10::kHeight, Cifar10::kWidth, Cifar10::kChannels});
  data.set_test_images(std::move(test.pixels));
  data.set_labels(std::move(train.labels), std::move(test.labels));
  return data;
}

Dataset open_array(const std::string& spec) {
  NpyArray array = read_array(spec, kMaxFileBytes, NpyBytes::kept);
  if (!has_rank_of_images(array)) {
    FloatMatrix matrix = matrix_float_of(array, spec);
    return Dataset::points(spec, std::move(matrix.values), matrix.columns);
  }
  ImageArray images = images_of(std::move(array), spec);
  const Shape shape = {images.height, images.width, images.channels};
  return images.values.empty() ? Dataset::images_of_bytes(spec, std::move(images.pixels), shape)
                               : Dataset::images(spec, std::move(images.values), shape);
}

Dataset open_png_folder(const std::string& spec) {
  PngImages images = read_png_folder(spec);
  return Dataset::images_of_bytes(spec, std::move(images.pixels), {images.height, images.width, images.channels});
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
    return list +
           "gaussian, gaussian:DIMENSION, mnist:DIR, cifar10:DIR, a folder of PNG images, or points [n, d] or "
           "images [n, H, W, C] of " +
           array_file_names();
  }();
  return names;
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

void Dataset::check_size(const std::string& name, std::int64_t size, std::int64_t dimension) {
  if (dimension < 1 || size == 0)
    throw InputError(fmt::format("{}: holds no data ({} numbers, {} columns)", name, size, dimension));
  if (size % dimension != 0)
    throw InputError(fmt::format("{}: {} numbers do not make rows of {}", name, size, dimension));
}

void Dataset::check_images(const std::string& name, std::int64_t size, const Shape& shape) {
  if (!is_image(shape) || *std::ranges::min_element(shape) < 1)
    throw InputError(fmt::format("{}: images of shape [{}]", name, fmt::join(shape, ", ")));
  check_size(name, size, size_of(shape));
}

Dataset Dataset::points(std::string name, std::vector<float> values, std::int64_t dimension) {
  check_size(name, std::ssize(values), dimension);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw InputError(fmt::format("{}: row {}, column {} (counted from 0) is {}", name,
                                   i / static_cast<std::size_t>(dimension), i % static_cast<std::size_t>(dimension),
                                   values[i]));
  return {std::move(name), {dimension}, StoredRows(std::move(values), dimension)};
}

Dataset Dataset::images(std::string name, std::vector<float> values, const Shape& shape) {
  check_images(name, std::ssize(values), shape);
  Dataset data = points(std::move(name), std::move(values), size_of(shape));
  data.sample_shape_ = shape;
  return data;
}

Dataset Dataset::test_split() const {
  if (!has_test_split()) throw InputError(fmt::format("{}: has no test set", name_));
  Dataset test = *this;
  test.name_ += " (test)";
  test.mirrored_ = false;
  test.rows_ = std::exchange(test.test_rows_, {});
  test.labels_ = std::exchange(test.test_labels_, std::make_shared<const std::vector<std::uint8_t>>());
  return test;
}

void Dataset::set_test_split(std::vector<float> values) {
  test_rows_ = points(name_ + " (test)", std::move(values), dimension_).rows_;
}

void Dataset::set_labels(std::vector<std::uint8_t> labels, std::vector<std::uint8_t> test_labels) {
  const auto take = [&](std::vector<std::uint8_t>&& given, const StoredRows& rows, Labels& to) {
    if (!given.empty() && std::ssize(given) != rows.count())
      throw InputError(fmt::format("{}: {} labels for {} rows", name_, given.size(), rows.count()));
    to = std::make_shared<const std::vector<std::uint8_t>>(std::move(given));
  };
  take(std::move(labels), rows_, labels_);
  take(std::move(test_labels), test_rows_, test_labels_);
}

Dataset Dataset::with_mirror_images() const {
  if (!is_images()) throw InputError(fmt::format("{}: has no mirror images, since it does not hold images", name_));
  Dataset result = *this;
  result.mirrored_ = true;
  return result;
}

Dataset Dataset::standardised(const Standardisation& standardisation) const {
  Dataset result = *this;
  if (standardisation.identity()) return result;
  if (static_cast<std::int64_t>(standardisation.shift.size()) != dimension_ || !standardisation_.identity())
    throw RunError(fmt::format("{}: {} columns cannot be standardised by {} numbers, or twice", name_, dimension_,
                               standardisation.shift.size()));
  if (endless() || is_images()) {
    result.standardisation_ = standardisation;
    return result;
  }
  const auto moved = [&](const StoredRows& rows) {
    if (!rows.there()) return rows;
    const View<const float> from(rows.numbers()->data(), {rows.count(), dimension_});
    std::vector<float> values(static_cast<std::size_t>(from.size()));
    standardisation.apply(from, {values.data(), {rows.count(), dimension_}});
    return StoredRows(std::move(values), dimension_);
  };
  result.rows_ = moved(rows_);
  result.test_rows_ = moved(test_rows_);
  return result;
}

Dataset Dataset::hold_out(double share, std::uint64_t seed) const {
  if (endless()) throw InputError(fmt::format("{}: is drawn without end, so that no rows need be held out", name_));
  if (has_test_split())
    throw InputError(fmt::format("{}: has a test set already, so that no rows need be held out", name_));
  const std::int64_t n = rows_.count(), held = std::llround(share * static_cast<double>(n));
  if (held < 1 || held >= n)
    throw InputError(
        fmt::format("{}: a share of {} of {} rows to be held out leaves {} and {}", name_, share, n, held, n - held));
  const RandomPermutation order(n, {.seed = seed, .stream = kHoldOutStream});
  std::vector<bool> is_held(static_cast<std::size_t>(n), false);
  for (std::int64_t i = 0; i < held; ++i) is_held[static_cast<std::size_t>(order(i))] = true;
  Dataset result = *this;
  result.rows_ = rows_.part(is_held, false);
  result.test_rows_ = rows_.part(is_held, true);
  result.labels_ = std::make_shared<const std::vector<std::uint8_t>>();  // nobody has asked for parts of them
  return result;
}

std::uint64_t Dataset::checksum() const {
  if (endless()) return 0;
  constexpr std::int64_t kBlock = 1 << 16;  // numbers
  const std::int64_t n = rows_.count(), at_once = std::max<std::int64_t>(1, kBlock / dimension_);
  std::vector<float> values(static_cast<std::size_t>(std::min(n, at_once) * dimension_));
  uLong sum = crc32_z(0, nullptr, 0);
  for (std::int64_t first = 0; first < n; first += at_once) {
    const std::int64_t count = std::min(at_once, n - first);
    copy_rows(first, {values.data(), {count, dimension_}});
    sum = crc32_z(sum, reinterpret_cast<const Bytef*>(values.data()),
                  static_cast<std::size_t>(count * dimension_) * sizeof(float));
  }
  return sum;
}

View<const float> Dataset::rows_in_place() const {
  if (!rows_.numbers() || mirrored_ || moves_what_it_copies()) return {nullptr, {0, dimension_}};
  return {rows_.numbers()->data(), {rows_.count(), dimension_}};
}

View<const std::uint8_t> Dataset::pixels() const {
  if (rows_.pixels() == nullptr) return {nullptr, {0, 1, 1, 1}};
  return {rows_.pixels(), {rows_.count(), sample_shape_[0], sample_shape_[1], sample_shape_[2]}};
}

FloatRows Dataset::float_rows() const {
  if (endless()) throw RunError(name_ + ": is drawn without end, and has no rows");
  if (rows_in_place().data != nullptr) return {rows_.numbers(), dimension_};
  auto values = std::make_shared<std::vector<float>>(static_cast<std::size_t>(count() * dimension_));
  copy_rows(0, {values->data(), {count(), dimension_}});
  return {std::move(values), dimension_};
}

void Dataset::copy_rows(std::int64_t first, View<float> out) const {
  check_output("Dataset::copy_rows", out, dimension_);
  if (first < 0 || first > count() - out.rows())
    throw InputError(fmt::format("{}: has {} rows, not rows {} to {}", name_, count(), first, first + out.rows()));
  host::parallel_rows(out.rows(), dimension_, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) copy_row(first + i, out.row(i));
  });
}

void Dataset::copy_row(std::int64_t row, float* to) const {
  const std::int64_t n = rows_.count();
  rows_.copy(row < n ? row : row - n, to);
  if (row >= n) {
    const std::int64_t width = sample_shape_[1], channels = sample_shape_[2];
    for (std::int64_t line = 0; line < dimension_; line += width * channels)
      for (std::int64_t left = 0, right = width - 1; left < right; ++left, --right)
        std::swap_ranges(to + line + left * channels, to + line + (left + 1) * channels, to + line + right * channels);
  }
  if (moves_what_it_copies()) standardisation_.apply({to, {1, dimension_}}, {to, {1, dimension_}});
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
  if (std::error_code ignored; std::filesystem::is_directory(spec, ignored)) return open_png_folder(spec);
  if (is_array_file(spec)) return open_array(spec);
  throw InputError(fmt::format("unknown data \"{}\"; known are {}", spec, dataset_names()));
}

}  // namespace otnfm
