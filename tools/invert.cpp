// otnfm invert: maps data back to noise, x0 = F(1, .)^-1(y), and says how exactly, and how Gaussian the noise is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/data/gaussian_density.h"
#include "engine/generate/log_likelihood.h"
#include "engine/generate/model_file.h"
#include "engine/io/array_file.h"
#include "layers/inverse.h"
#include "tools/command.h"
#include "tools/rows.h"

namespace otnfm {
namespace {

struct InvertFlags {
  CommonFlags common;
  std::string model, data, out;
  std::int64_t n = 4096;
};

/// The largest ||F(1, x) - y|| of a row to the larger of ||y|| and the root mean square of all rows' norms.
double round_trip_error(FlowMap& map, View<const float> t, View<const float> x, View<const float> y) {
  std::vector<float> values(static_cast<std::size_t>(y.size()));
  const View<float> again(values.data(), {y.rows(), y.columns()});
  map(t, x, again);
  std::vector<double> sizes, errors;
  double total = 0, worst = 0;
  for (std::int64_t i = 0; i < y.rows(); ++i) {
    double size = 0, error = 0;
    for (std::int64_t j = 0; j < y.columns(); ++j) {
      const double want = y(i, j), got = again(i, j);
      size += want * want;
      error += (got - want) * (got - want);
    }
    sizes.push_back(size);
    errors.push_back(error);
    total += size / static_cast<double>(y.rows());
  }
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (errors[i] > 0) worst = std::max(worst, std::sqrt(errors[i] / std::max(sizes[i], total)));
  return worst;
}

void invert(const InvertFlags& flags) {
  const Device device = flags.common.chosen_device();
  const Model model = load_model(flags.model, device);
  const std::int64_t d = model.dimension();
  const std::int64_t batch = std::clamp<std::int64_t>(flags.n, 1, std::max<std::int64_t>(64, (1 << 20) / d));
  FlowInverse inverse(*model.flow, device, std::min<std::int64_t>(batch, 4096));
  const std::string spec = flags.data.empty() ? model.configuration["data"].get<std::string>() : flags.data;
  const Dataset data = open_dataset(spec);
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
  const double error = round_trip_error(map, t, x, y);
  write_array(flags.out, View<const float>(x));

  const InverseReport& report = inverse.report();
  nlohmann::json result = {{"model", flags.model},
                           {"data", spec},
                           {"n", n},
                           {"d", d},
                           {"out", flags.out},
                           {"round_trip_error", error},
                           {"residual", report.residual},
                           {"iterations", report.iterations},
                           {"seconds", seconds}};
  const bool compares = n >= 2 && GaussianDensity::is_gaussian(model.source);
  GaussianDensity::Deviation deviation;
  if (compares) {
    model.flow->coordinates.source.apply(View<const float>(x), x);
    deviation = noise_density(model).deviation(x);
    result["mean_deviation"] = deviation.mean;
    result["mean_deviation_expected"] = deviation.expected_mean;
    result["covariance_deviation"] = deviation.covariance;
    result["covariance_deviation_expected"] = deviation.expected_covariance;
  }
  if (flags.common.json) {
    print_json(result);
    return;
  }
  fmt::print("{} rows of {} numbers in {:.3g} s: {}\n", n, d, seconds, flags.out);
  fmt::print("round trip    {:.2e}            the worst row's ||F(1, x) - y||, relative\n", error);
  if (!report.iterations.empty()) {
    std::string counts;
    for (const int count : report.iterations) counts += (counts.empty() ? "" : ", ") + std::to_string(count);
    fmt::print("iterations    {}   of each block\n", counts);
  }
  if (!compares) return;
  fmt::print("mean          {:.4f}   from the source's, in its deviations; {} true draws: {:.4f}\n", deviation.mean, n,
             deviation.expected_mean);
  fmt::print("covariance    {:.4f}   ||C - I|| / sqrt(d), in its deviations; {} true draws: {:.4f}\n",
             deviation.covariance, n, deviation.expected_covariance);
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
