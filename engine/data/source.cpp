#include "engine/data/source.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "kernels/error.h"

namespace otnfm {

Source Source::gaussian(std::int64_t dimension) {
  return {"gaussian", Dataset::gaussian(dimension)};
}

Source Source::gaussian_fit(GaussianParameters parameters) {
  return {"gaussian-fit", GaussianFit(std::move(parameters))};
}

Source Source::dataset(Dataset data) {
  std::string name = data.name();
  return {std::move(name), std::move(data)};
}

std::int64_t Source::dimension() const {
  return std::visit([](const auto& kind) { return kind.dimension(); }, kind_);
}

const GaussianParameters* Source::parameters() const {
  const GaussianFit* fit = std::get_if<GaussianFit>(&kind_);
  return fit ? &fit->parameters() : nullptr;
}

namespace {

/// factor * x + shift, of a Gaussian's parameters.
GaussianParameters moved(const GaussianParameters& fit, const Standardisation& by, bool undo) {
  GaussianParameters result = fit;
  const auto d = fit.mean.size();
  const View<float> mean(result.mean.data(), {1, static_cast<std::int64_t>(d)});
  if (undo)
    by.undo(View<const float>(mean), mean);
  else
    by.apply(View<const float>(mean), mean);
  const auto stretch = [&](std::vector<float>& values) {
    for (std::size_t k = 0; k < values.size(); ++k) {
      const auto scale = static_cast<double>(by.scale[k % d]);
      values[k] = static_cast<float>(undo ? values[k] * scale : values[k] / scale);
    }
  };
  stretch(result.factor);
  stretch(result.diagonal);
  return result;
}

}  // namespace

Source Source::standardised(const Standardisation& standardisation) const {
  if (standardisation.identity()) return *this;
  if (const GaussianParameters* fit = parameters()) return gaussian_fit(moved(*fit, standardisation, false));
  return {name_, data()->standardised(standardisation)};
}

Source Source::unstandardised(const Standardisation& standardisation) const {
  if (standardisation.identity()) return *this;
  const GaussianParameters* fit = parameters();
  if (fit == nullptr) throw RunError("the source " + name_ + " has no raw form");
  return gaussian_fit(moved(*fit, standardisation, true));
}

void Source::draw(const DrawKey& key, View<float> out) const {
  std::visit([&](const auto& kind) { kind.draw(key, out); }, kind_);
}

void Source::draw_rows(const DrawKey& key, View<const std::int64_t> rows, View<float> out) const {
  std::visit([&](const auto& kind) { kind.draw_rows(key, rows, out); }, kind_);
}

NamedSource::NamedSource(const std::string& spec) : name(spec) {
  if (spec != "gaussian" && spec != "gaussian-fit") data = open_dataset(spec);
}

Source open_source(const NamedSource& named, const Dataset& target) {
  if (named.name == "gaussian") return Source::gaussian(target.dimension());
  if (named.name == "gaussian-fit") {
    if (!target.endless())
      return Source::gaussian_fit(fit_gaussian(
          {.rows = target.count(), .columns = target.dimension(), .copy = [&](std::int64_t first, View<float> out) {
             target.copy_rows(first, out);
           }}));
    constexpr std::int64_t kDraws = 65536;
    std::vector<float> draws(static_cast<std::size_t>(kDraws * target.dimension()));
    const View<float> view(draws.data(), {kDraws, target.dimension()});
    target.draw({}, view);
    return Source::gaussian_fit(fit_gaussian(view));
  }
  Source source = Source::dataset(*named.data);
  if (source.dimension() != target.dimension())
    throw InputError(fmt::format("source {} has dimension {}, data {} has {}", named.name, source.dimension(),
                                 target.name(), target.dimension()));
  return source;
}

}  // namespace otnfm
