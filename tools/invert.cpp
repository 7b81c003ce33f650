// otnfm invert: maps data back to noise, x0 = F(1, .)^-1(y), and says how exactly, and how Gaussian the noise is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include "engine/data/gaussian_density.h"
#include "engine/generate/log_likelihood.h"
#include "engine/generate/model_data.h"
#include "engine/generate/model_file.h"
#include "engine/generate/sampler.h"
#include "engine/io/array_file.h"
#include "layers/maps/inverse.h"
#include "tools/command.h"
#include "tools/rows.h"

namespace otnfm {
namespace {

struct InvertFlags {
  CommonFlags common;
  std::string model, data, out;
  std::int64_t n = 4096;
};

struct RoundTrip {
  /// The largest ||F(1, x) - y|| of a row, in the flow's coordinates, to the larger of ||y|| and the root mean square
  /// of all rows' norms. NaN where a row came back as no number.
  double error = 0;
  std::vector<std::int64_t> good;  ///< the rows whose noise, and image of it, are finite
};

RoundTrip round_trip(FlowMap& map, const Standardisation& coordinates, View<const float> t, View<const float> x,
                     View<const float> y) {
  std::vector<float> values(static_cast<std::size_t>(y.size())), wanted(values.size());
  const View<float> again(values.data(), {y.rows(), y.columns()}), given(wanted.data(), {y.rows(), y.columns()});
  map(t, x, again);
  coordinates.apply(View<const float>(again), again);
  coordinates.apply(y, given);
  std::vector<double> sizes, errors;
  double total = 0;
  RoundTrip result;
  for (std::int64_t i = 0; i < y.rows(); ++i) {
    double size = 0, error = 0, noise = 0;
    for (std::int64_t j = 0; j < y.columns(); ++j) {
      const double want = given(i, j), got = again(i, j);
      size += want * want;
      error += (got - want) * (got - want);
      noise += std::abs(static_cast<double>(x(i, j)));
    }
    sizes.push_back(size);
    errors.push_back(error);
    total += size / static_cast<double>(y.rows());
    if (std::isfinite(error) && std::isfinite(noise)) result.good.push_back(i);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (errors[i] > 0) result.error = std::max(result.error, std::sqrt(errors[i] / std::max(sizes[i], total)));
  if (static_cast<std::int64_t>(result.good.size()) < y.rows()) result.error = NAN;
  return result;
}

/// The rows that are `good`, one behind the other.
View<float> gathered(View<float> x, const std::vector<std::int64_t>& good) {
  for (std::size_t k = 0; k < good.size(); ++k)
    std::copy_n(x.row(good[k]), x.columns(), x.row(static_cast<std::int64_t>(k)));
  return x.row_slice(0, static_cast<std::int64_t>(good.size()));
}

void invert(const InvertFlags& flags) {
  const Device device = flags.common.chosen_device();
  const Model model = load_model(flags.model, device);
  require_map(model.configuration, "invert");
  const std::int64_t d = model.dimension();
  const std::int64_t batch = std::clamp<std::int64_t>(flags.n, 1, std::max<std::int64_t>(64, (1 << 20) / d));
  FlowInverse inverse(*model.flow, device, std::min<std::int64_t>(batch, 4096));
  const ModelData opened = open_model_data(model.configuration, flags.data);
  const Dataset& data = opened.data;
  require_dimension(data, d);
  std::vector<float> values = rows_in_order(data, flags.n, flags.common.seed), noise(values.size());
  const std::int64_t n = static_cast<std::int64_t>(values.size()) / d;
  const std::vector<float> ones(static_cast<std::size_t>(n), 1.0f);
  const View<const float> t(ones.data(), {n, 1});
  const View<float> y(values.data(), {n, d}), x(noise.data(), {n, d});
  const auto start = std::chrono::steady_clock::now();
  inverse(t, y, x);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  FlowMap map(*model.flow, device, std::min<std::int64_t>(batch, 4096));
  const RoundTrip trip = round_trip(map, model.flow->coordinates.target, t, x, View<const float>(y));
  const auto good = static_cast<std::int64_t>(trip.good.size());
  write_array(flags.out, View<const float>(x));

  const InverseReport& report = inverse.report();
  nlohmann::json result = {{"model", flags.model},
                           {"data", opened.spec},
                           {"n", n},
                           {"d", d},
                           {"out", flags.out},
                           {"round_trip_error", std::isnan(trip.error) ? nlohmann::json() : nlohmann::json(trip.error)},
                           {"failed_rows", n - good},
                           {"residual", report.residual},
                           {"iterations", report.iterations},
                           {"seconds", seconds}};
  std::optional<GaussianDensity::Deviation> deviation;
  std::string why_not;
  if (GaussianDensity::is_gaussian(model.source)) {
    const View<float> rest = gathered(x, trip.good);
    model.flow->coordinates.source.apply(View<const float>(rest), rest);
    if (good < 2)
      why_not = "less than two rows have a finite noise";
    else
      try {
        deviation = noise_density(model).deviation(View<const float>(rest));
      } catch (const InputError& error) {  // a fit to data that do not fill their space
        why_not = error.what();
      }
    const auto put = [&](const char* key, double GaussianDensity::Deviation::*value) {
      result[key] = deviation ? nlohmann::json((*deviation).*value) : nlohmann::json();
    };
    put("mean_deviation", &GaussianDensity::Deviation::mean);
    put("mean_deviation_expected", &GaussianDensity::Deviation::expected_mean);
    put("covariance_deviation", &GaussianDensity::Deviation::covariance);
    put("covariance_deviation_expected", &GaussianDensity::Deviation::expected_covariance);
  }
  if (flags.common.json) {
    print_json(result);
    return;
  }
  fmt::print("{} rows of {} numbers in {:.3g} s: {}\n", n, d, seconds, flags.out);
  if (good < n)
    fmt::print("round trip    none: {} of {} rows have no finite noise, or no finite image of it\n", n - good, n);
  else
    fmt::print("round trip    {:.2e}            the worst row's ||F(1, x) - y||, relative\n", trip.error);
  if (!report.iterations.empty()) {
    std::string counts;
    for (const int count : report.iterations) counts += (counts.empty() ? "" : ", ") + std::to_string(count);
    fmt::print("iterations    {}   of each block\n", counts);
  }
  if (!why_not.empty()) fmt::print("not compared with the source: {}\n", why_not);
  if (!deviation) return;
  fmt::print("mean          {:.4f}   from the source's, in its deviations; {} true draws: {:.4f}\n", deviation->mean,
             good, deviation->expected_mean);
  fmt::print("covariance    {:.4f}   ||C - I|| / sqrt(d), in its deviations; {} true draws: {:.4f}\n",
             deviation->covariance, good, deviation->expected_covariance);
}

}  // namespace

void add_invert(CommandLine& program) {
  Command command = program.add("invert", "Map data back to noise");
  auto flags = std::make_shared<InvertFlags>();
  command.option("MODEL", flags->model, "model.safetensors").required();
  command.option("--data", flags->data,
                 "what to map back, its first rows (of the test set, where there is one); the model's own data "
                 "unless told");
  command.option("-n", flags->n, "rows at most").positive();
  command.option("--out", flags->out, "FILE.npy or FILE.csv: the noise, [n, d]").required().file({".npy", ".csv"});
  flags->common.add_device(command);
  flags->common.add_threads(command);
  flags->common.add_seed(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    invert(*flags);
  });
}

}  // namespace otnfm
