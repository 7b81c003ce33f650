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
#include "engine/data/stored_rows.h"
#include "kernels/device/pixel.h"
#include "kernels/distribution.h"
#include "kernels/view.h"

namespace otnfm {

/// "8gaussians, moons, ...": what open_dataset() knows, for messages and --help.
const std::string& dataset_names();

/// All rows of a finite set as numbers: those that it keeps, in place, or where it keeps something else a copy.
class FloatRows {
 public:
  FloatRows(std::shared_ptr<const std::vector<float>> values, std::int64_t columns)
      : values_(std::move(values)), columns_(columns) {}

  /// [count, dimension]; only as long as this object lives.
  View<const float> view() const& { return {values_->data(), {std::ssize(*values_) / columns_, columns_}}; }
  View<const float> view() && = delete;

 private:
  std::shared_ptr<const std::vector<float>> values_;
  std::int64_t columns_;
};

/// Cheap to copy: copies share the rows. Drawing is const and may be done by several threads at once. Images that were
/// read as bytes stay bytes: what is drawn or copied becomes numbers, value_of_pixel() of them, and no more than that.
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
  /// Images of bytes [count, height, width, channels], which are kept as they are; Byte is std::uint8_t or std::byte.
  /// InputError as above.
  template <class Byte>
  static Dataset images_of_bytes(std::string name, std::vector<Byte> pixels, const Shape& shape) {
    check_images(name, std::ssize(pixels), shape);
    return {std::move(name), shape, StoredRows(std::move(pixels), size_of(shape))};
  }

  const std::string& name() const { return name_; }
  std::int64_t dimension() const { return dimension_; }
  /// Of a sample: [d], or [height, width, channels] of an image. A row is its numbers in that order.
  const Shape& sample_shape() const { return sample_shape_; }
  bool is_images() const { return otnfm::is_image(sample_shape_); }

  bool endless() const { return !rows_.there(); }
  /// Set where the data set is one of the two-dimensional distributions; an endless one without it is N(0, I).
  std::optional<DistributionKind> kind() const { return kind_; }
  /// The number of rows; 0 where the data set is endless.
  std::int64_t count() const { return mirrored_ ? 2 * rows_.count() : rows_.count(); }

  /// All rows [count, dimension]. For what has to see them all at once: of images in bytes it takes 4 times their
  /// memory. RunError for an endless set.
  FloatRows float_rows() const;
  /// Rows first, first + 1, ... to out [B, dimension].
  void copy_rows(std::int64_t first, View<float> out) const;
  /// Row `row`, in [0, count), to [dimension].
  void copy_row(std::int64_t row, float* to) const;
  /// [n, height, width, channels]: the images where they are bytes, without their mirror images. Else empty.
  View<const std::uint8_t> pixels() const;
  /// The rows as they are, where they are numbers in memory, with nothing to be done to them. Else empty.
  View<const float> rows_in_place() const;

  /// The images and their mirror images, left to right: with n of them, row n + i is the mirror of row i. Nothing is
  /// copied; test images stay as they are. InputError unless the set is of images.
  Dataset with_mirror_images() const;
  bool mirrored() const { return mirrored_; }

  /// The images kept apart for testing (MNIST, CIFAR-10).
  bool has_test_split() const { return test_rows_.there(); }
  /// InputError where there is none.
  Dataset test_split() const;
  void set_test_split(std::vector<float> values);
  /// The same of images of the set's shape. InputError where the pixels do not make images of it.
  template <class Byte>
  void set_test_images(std::vector<Byte> pixels) {
    test_rows_ = images_of_bytes(name_ + " (test)", std::move(pixels), sample_shape_).rows_;
  }
  /// A class of each row, and of each of the test split (MNIST, CIFAR-10), mirror images left out; empty where none are
  /// known.
  const std::vector<std::uint8_t>& labels() const { return *labels_; }
  /// InputError where there are not as many as rows. For a set that has its test split already.
  void set_labels(std::vector<std::uint8_t> labels, std::vector<std::uint8_t> test_labels);

  /// A finite set with a share of its rows, picked at random by the seed, as its test split. The rest keeps its order.
  /// Of a set with mirror images neither part has the mirror image of a row of the other. InputError for an endless
  /// set, one that has a test split, and where either part would be empty.
  Dataset hold_out(double share, std::uint64_t seed) const;

  /// A checksum of the rows' numbers, mirror images left out, to recognise them by; 0 for an endless set.
  std::uint64_t checksum() const;

  /// The same set in standardised coordinates: its rows, test rows and draws are moved.
  Dataset standardised(const Standardisation& standardisation) const;
  /// What is done to the draws of an endless set, and to images where they are drawn or copied; points are moved once.
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
  /// A finite set.
  Dataset(std::string name, const Shape& shape, StoredRows rows)
      : name_(std::move(name)), dimension_(size_of(shape)), sample_shape_(shape), rows_(std::move(rows)) {}
  static void check_size(const std::string& name, std::int64_t size, std::int64_t dimension);
  static void check_images(const std::string& name, std::int64_t size, const Shape& shape);
  bool moves_what_it_copies() const { return is_images() && !standardisation_.identity(); }

  std::string name_;
  std::int64_t dimension_ = 0;
  Shape sample_shape_;
  std::optional<DistributionKind> kind_;
  using Labels = std::shared_ptr<const std::vector<std::uint8_t>>;
  StoredRows rows_, test_rows_;
  Labels labels_ = std::make_shared<const std::vector<std::uint8_t>>(), test_labels_ = labels_;
  bool mirrored_ = false;
  Standardisation standardisation_;
};

/// One of the distributions by name, `gaussian` (2-D) or `gaussian:DIMENSION`, `mnist:DIR`, `cifar10:DIR`, a file of
/// points [n, d] (engine/io/array_file.h) or of images (engine/io/image_array.h), or a folder of PNG images
/// (engine/io/png_reader.h). InputError that names what is wrong, and the known names for an
/// unknown one.
Dataset open_dataset(const std::string& spec);

}  // namespace otnfm
