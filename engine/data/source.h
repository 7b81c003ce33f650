// What x0 is: N(0, I), the normal distribution with the data's moments, or any data set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "engine/core/standardisation.h"
#include "engine/data/dataset.h"
#include "engine/data/draw_key.h"
#include "engine/data/gaussian_fit.h"
#include "kernels/view.h"

namespace otnfm {

/// Drawing is const and may be done by several threads at once.
class Source {
 public:
  static Source gaussian(std::int64_t dimension);
  static Source gaussian_fit(GaussianParameters parameters);
  static Source dataset(Dataset data);

  /// "gaussian", "gaussian-fit", or the name of a data set.
  const std::string& name() const { return name_; }
  std::int64_t dimension() const;

  /// The parameters of a gaussian-fit, to be kept with the model; null for the others, which their name alone gives
  /// back.
  const GaussianParameters* parameters() const;
  /// The fit; null where the source is not a gaussian-fit.
  const GaussianFit* fit() const { return std::get_if<GaussianFit>(&kind_); }
  /// The data set behind it, which is an endless one for `gaussian`; null for a gaussian-fit.
  const Dataset* data() const { return std::get_if<Dataset>(&kind_); }

  /// The same source in standardised coordinates, and a gaussian-fit in raw ones (RunError for the others).
  Source standardised(const Standardisation& standardisation) const;
  Source unstandardised(const Standardisation& standardisation) const;

  /// out [B, dimension]; row i is a function of (seed, stream, step, first_row + i) alone, bit for bit.
  void draw(const DrawKey& key, View<float> out) const;
  /// Row i of out is row rows(i) of that sequence: noise of which only the numbers were kept.
  void draw_rows(const DrawKey& key, View<const std::int64_t> rows, View<float> out) const;

 private:
  Source(std::string name, std::variant<Dataset, GaussianFit> kind) : name_(std::move(name)), kind_(std::move(kind)) {}

  std::string name_;
  std::variant<Dataset, GaussianFit> kind_;
};

/// What `--source` names, before there is a target to fit it to: a data set is opened here, once.
struct NamedSource {
  std::string name;
  std::optional<Dataset> data;  ///< none of "gaussian" and "gaussian-fit"

  explicit NamedSource(const std::string& spec);
};

/// What it means for this target: "gaussian" takes the target's dimension, "gaussian-fit" is fitted to its rows (to
/// 65,536 draws of an endless one), anything else is a data set. InputError where the dimensions disagree.
Source open_source(const NamedSource& named, const Dataset& target);

}  // namespace otnfm
