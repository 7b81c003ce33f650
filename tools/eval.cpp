// otnfm eval: how far a model's samples are from the data.
#include <fmt/format.h>

#include <cmath>

#include "engine/generate/log_likelihood.h"
#include "engine/generate/model_file.h"
#include "engine/train/evaluation.h"
#include "engine/train/preview.h"
#include "tools/command.h"
#include "tools/rows.h"

namespace otnfm {
namespace {

struct EvalFlags {
  CommonFlags common;
  std::string model, data, neighbours;
  EvaluationOptions options;
  bool log_likelihood = false;
};

/// Adds the mean log-likelihood of the first rows of the data (of the test set, where there is one).
void add_log_likelihood(nlohmann::json& result, const EvalFlags& flags, const Model& model, const Dataset& data) {
  std::vector<float> values = rows_in_order(data, flags.options.samples, flags.common.seed);
  const std::int64_t d = model.dimension(), n = static_cast<std::int64_t>(values.size()) / d;
  const View<float> y(values.data(), {n, d});
  if (data.is_images()) dequantise(y, flags.common.seed);
  LogLikelihood log_likelihood(model, flags.common.chosen_device(), 4096, {.seed = flags.common.seed});
  const LogLikelihoods found = log_likelihood(y);
  result["log_likelihood"] = found.mean;
  result["log_likelihood_error"] = std::hypot(found.standard_error, found.estimator_error);
  result["log_likelihood_estimator_error"] = found.estimator_error;
  result["log_likelihood_rows"] = n;
  if (!data.is_images()) return;
  result["bits_per_dimension"] = bits_per_dimension(found.mean, d);
  result["dequantised"] = true;
}

void eval(const EvalFlags& flags) {
  const Generator generator = Generator::load(flags.model, flags.common.chosen_device());
  const std::string spec = flags.data.empty() ? generator.model().configuration["data"].get<std::string>() : flags.data;
  const Dataset data = open_dataset(spec);
  EvaluationOptions options = flags.options;
  options.seed = flags.common.seed;
  require_dimension(data, generator.dimension());
  nlohmann::json likelihood = nlohmann::json::object();
  if (flags.log_likelihood) add_log_likelihood(likelihood, flags, generator.model(), data);
  nlohmann::json result = evaluate(generator, data, options);
  result.update(likelihood);
  result["model"] = flags.model;
  result["data"] = spec;
  if (!flags.neighbours.empty()) {
    write_neighbours(flags.neighbours, generator, data, flags.common.seed);
    result["neighbours"] = flags.neighbours;
  }
  if (flags.common.json) {
    print_json(result);
    return;
  }
  const auto number = [&](const char* key) { return result[key].get<double>(); };
  fmt::print("W2            {:.4f} +- {:.4f}   between {} samples and {} fresh data, {} draws\n", number("w2"),
             number("w2_std"), options.samples, options.samples, options.repeats);
  fmt::print("floor         {:.4f} +- {:.4f}   between two fresh draws of the data\n", number("w2_floor"),
             number("w2_floor_std"));
  fmt::print("ratio         {:.3f}\n", number("w2_ratio"));
  if (result.contains("w2_standardised"))
    fmt::print("standardised  {:.4f}, floor {:.4f}, ratio {:.3f}: every column by its own deviation\n",
               number("w2_standardised"), number("w2_standardised_floor"), number("w2_standardised_ratio"));
  fmt::print("collapse_rho  {:.3f}             0: every sample is the mean, 1: the spread is the data's\n",
             number("collapse_rho"));
  fmt::print("sliced W2     {:.4f}\nMMD           {:.3g}\n", number("sliced_w2"), number("mmd"));
  if (result.contains("nearest_train"))
    fmt::print("nearest train {:.3f} of a sample, {:.3f} of a test point\n", number("nearest_train"),
               number("nearest_train_test"));
  if (flags.log_likelihood)
    fmt::print("log-likelihood {:.4f} +- {:.4f} nats, mean of {} {}\n", number("log_likelihood"),
               number("log_likelihood_error"), result["log_likelihood_rows"].get<std::int64_t>(),
               data.has_test_split() ? "test rows" : "rows");
  if (result.contains("bits_per_dimension"))
    fmt::print("bits          {:.4f} a dimension, with uniform dequantisation\n", number("bits_per_dimension"));
  fmt::print("speed         {:.4g} samples/s, one network evaluation each\n", number("samples_per_second"));
  if (!flags.neighbours.empty()) fmt::print("neighbours    {}\n", flags.neighbours);
}

}  // namespace

void add_eval(CommandLine& program) {
  Command command = program.add("eval", "Compare a model's samples with the data");
  auto flags = std::make_shared<EvalFlags>();
  command.option("MODEL", flags->model, "model.safetensors").required();
  command.option("--data", flags->data, "what to compare with; the model's own data unless told");
  command.option("-n", flags->options.samples, "samples a draw").positive();
  command.option("--repeats", flags->options.repeats, "draws").positive();
  command
      .option("--neighbours", flags->neighbours,
              "FILE.png: samples of an image model, each above its nearest training image")
      .file({".png"});
  command.flag("--log-likelihood", flags->log_likelihood,
               "the mean log-likelihood of the data: for a family with an inverse and a Gaussian source");
  flags->common.add_device(command);
  flags->common.add_threads(command);
  flags->common.add_seed(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    eval(*flags);
  });
}

}  // namespace otnfm
