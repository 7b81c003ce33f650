// What `--data D` means: a distribution that can be drawn from without end, or a finite set of rows in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/standardisation.h"
#include "engine/core/tensor.h"
#include "engine/data/draw_key.h"
#include "kernels/distribution.h"
#include "kernels/view.h"

namespace otnfm {

/// "8gaussians, moons, ...": what open_dataset() knows, for messages and --help.
const std::string& dataset_names();

/// 0 .. 255 to [-1, 1].
float value_of_pixel(std::uint8_t pixel);

/// Cheap to copy: copies share the rows. Drawing is const and may be done by several threads at once.
class Dataset {
 public:
  /// An endless one.
  static Dataset distribution(DistributionKind kind);
  /// N(0, I), endless. InputError for dimension < 1.
  static Dataset gaussian(std::int64_t dimension);
  /// A finite one of `values` [count, dimension], row-major. InputError where there are no rows or no columns, the
  /// sizes disagree, or an entry is NaN or infinite (its row and column are named).
  static Dataset points(std::string name, std::vector<float> values, std::int64_t dimension);
  /// The same of images of shape [height, width, channels]: a row is the pixels, row by row, in [-1, 1].
  static Dataset images(std::string name, std::vector<float> values, const Shape& shape);

  const std::string& name() const { return name_; }
  std::int64_t dimension() const { return dimension_; }
  /// Of a sample: [d], or [height, width, channels] of an image. A row is its numbers in that order.
  const Shape& sample_shape() const { return sample_shape_; }
  bool is_images() const { return otnfm::is_image(sample_shape_); }

  bool endless() const { return !rows_; }
  /// Set where the data set is one of the two-dimensional distributions; an endless one without it is N(0, I).
  std::optional<DistributionKind> kind() const { return kind_; }
  /// The number of rows, [count, dimension] of them; 0 and empty where the data set is endless.
  std::int64_t count() const { return rows_ ? static_cast<std::int64_t>(rows_->size()) / dimension_ : 0; }
  View<const float> rows() const { return {rows_ ? rows_->data() : nullptr, {count(), dimension_}}; }

  /// The images kept apart for testing (MNIST, CIFAR-10).
  bool has_test_split() const { return test_rows_ != nullptr; }
  /// InputError where there is none.
  Dataset test_split() const;
  void set_test_split(std::vector<float> values);
  /// A finite set with a share of its rows, picked at random by the seed, as its test split. The rest keeps its order.
  /// InputError for an endless set, one that has a test split, and where either part would be empty.
  Dataset hold_out(double share, std::uint64_t seed) const;

  /// A checksum of the rows, to recognise them by; 0 for an endless set.
  std::uint64_t checksum() const;

  /// The same set in standardised coordinates: its rows, test rows and draws are moved.
  Dataset standardised(const Standardisation& standardisation) const;
  /// What is done to the draws of an endless set.
  const Standardisation& standardisation() const { return standardisation_; }

  /// Fresh draws of an endless set, uniformly random rows (with replacement) of a finite one, into out [B, dimension].
  void draw(const DrawKey& key, View<float> out) const;

  /// Row out(i) has the number key.first_row + rows(i): draw() of rows that need not follow each other.
  void draw_rows(const DrawKey& key, View<const std::int64_t> rows, View<float> out) const;

  /// As draw(), but no row of a finite set twice: rows key.first_row .. + B of the permutation that (seed, stream,
  /// step) stand for. InputError where the set has fewer rows. An endless set never repeats: there it is draw().
  void draw_distinct(const DrawKey& key, View<float> out) const;

 private:
  Dataset() = default;
  void copy_row(std::int64_t row, float* to) const;

  std::string name_;
  std::int64_t dimension_ = 0;
  Shape sample_shape_;
  std::optional<DistributionKind> kind_;
  std::shared_ptr<const std::vector<float>> rows_, test_rows_;
  Standardisation standardisation_;
};

/// One of the distributions by name, `gaussian` (2-D) or `gaussian:DIMENSION`, `mnist:DIR`, `cifar10:DIR`, or a
/// file of shape [n, d] (engine/io/array_file.h). InputError that names what is wrong, and the known names for an
/// unknown one.
Dataset open_dataset(const std::string& spec);

}  // namespace otnfm
