// otnfm eval: how far a model's samples are from the data.
#include <fmt/format.h>

#include <cmath>

#include "engine/evaluate/evaluation.h"
#include "engine/evaluate/feature_evaluation.h"
#include "engine/evaluate/preview.h"
#include "engine/generate/log_likelihood.h"
#include "engine/generate/model.h"
#include "engine/generate/model_data.h"
#include "tools/command.h"
#include "tools/rows.h"

namespace otnfm {
namespace {

struct EvalFlags {
  SamplerFlags sampler;
  CommonFlags common;
  std::string model, data, neighbours, features;
  EvaluationOptions options;
  bool log_likelihood = false;
};

/// Adds the mean log-likelihood of the first rows of the data (of the test set, where there is one).
void add_log_likelihood(nlohmann::json& result, const EvalFlags& flags, const Model& model, const Dataset& data) {
  std::vector<float> values = rows_in_order(data, flags.options.samples, flags.common.seed);
  const std::int64_t d = model.dimension(), n = static_cast<std::int64_t>(values.size()) / d;
  const View<float> y(values.data(), {n, d});
  // Images of floating numbers have no steps.
  const bool in_bytes = !data.pixels().empty();
  if (in_bytes) dequantise(y, flags.common.seed);
  LogLikelihood log_likelihood(model, flags.common.chosen_device(), 4096, {.seed = flags.common.seed});
  const LogLikelihoods found = log_likelihood(y);
  result["log_likelihood"] = found.mean;
  result["log_likelihood_error"] = std::hypot(found.standard_error, found.estimator_error);
  result["log_likelihood_estimator_error"] = found.estimator_error;
  result["log_likelihood_rows"] = n;
  if (!in_bytes) return;
  result["bits_per_dimension"] = bits_per_dimension(found.mean, d);
  result["dequantised"] = true;
}

const char* compared_with(const ModelData& opened) {
  if (opened.held_out) return "held-out rows";
  if (opened.trained_on) return "training rows";
  return opened.data.endless() ? "fresh data" : "rows of the data";
}

void print_nearest(const nlohmann::json& result) {
  fmt::print(
      "nearest train {:.3f} of a sample, {:.3f} of a row beside it, ratio {:.3f}: 1 as data are, above it blur or "
      "something else, far below it rows learnt by heart\n",
      result["nearest_train"].get<double>(), result["nearest_train_test"].get<double>(),
      result["nearest_train_ratio"].get<double>());
}

/// "value, of data floor", both with their deviations over the draws.
std::string beside_data(const nlohmann::json& result, const std::string& key, int digits) {
  const auto number = [&](const std::string& of) { return result[of].get<double>(); };
  return fmt::format("{:.{}g} +- {:.2g}, of data {:.{}g} +- {:.2g}", number(key), digits, number(key + "_std"),
                     number(key + "_floor"), digits, number(key + "_floor_std"));
}

void print_features(const nlohmann::json& result, bool tells, bool images) {
  const std::string note = tells ? std::string()
                                 : fmt::format("; of raw {} it says little, as the next two: judge by features",
                                               images ? "pixels" : "columns");
  if (result["frechet"].is_null())
    fmt::print("Frechet       none, d is too large for its eigenvalues{}\n", note);
  else
    fmt::print("Frechet       {}: squared, means and covariances alone{}\n", beside_data(result, "frechet", 4), note);
  if (result["precision"].is_null()) {
    fmt::print("precision     none, a draw has fewer than 4 rows\nrecall        none\n");
    return;
  }
  fmt::print("precision     {}: samples where data are{}\n", beside_data(result, "precision", 3),
             tells ? "" : ", and blur may be too");
  fmt::print("recall        {}: data where samples are\n", beside_data(result, "recall", 3));
}

void print_feature_table(const nlohmann::json& result) {
  fmt::print("{} features of a classifier of {}, {:.2f}% right; against {} rows of the data\n",
             result["features"].get<std::int64_t>(), result["features_of"].get<std::string>(),
             100 * result["accuracy"].get<double>(), result["n_data"].get<std::int64_t>());
  fmt::print("{:<20} {:>7} {:>10} {:>22} {:>10} {:>8}\n", "", "n", "Frechet", "KID", "precision", "recall");
  for (const auto& [key, name] :
       {std::pair{"samples", "samples"}, {"floor", "other data (floor)"}, {"gaussian", "their Gaussian"}}) {
    const nlohmann::json& row = result[key];
    const auto number = [&](const char* of) { return row[of].get<double>(); };
    fmt::print("{:<20} {:>7} {:>10.4g} {:>11.4g} +- {:<7.2g} {:>10.3f} {:>8.3f}\n", name, row["n"].get<std::int64_t>(),
               number("frechet"), number("kid"), number("kid_std"), number("precision"), number("recall"));
  }
  fmt::print("collapse_rho  {:.3f}             0: every sample is the mean, 1: the spread is the data's\n",
             result["collapse_rho"].get<double>());
  if (result.contains("nearest_train")) print_nearest(result);
  if (result["samples"]["frechet"] > result["gaussian"]["frechet"])
    fmt::print("The samples are farther from the data than draws of the data's Gaussian are.\n");
}

void eval_features(const EvalFlags& flags, const Generator& generator, const ModelData& opened) {
  const LoadedFeatures network = load_features(flags.features);
  nlohmann::json result =
      evaluate_features(generator, opened.data, network, {.samples = flags.options.samples, .seed = flags.common.seed});
  result["model"] = flags.model;
  result["data"] = opened.spec;
  result["features_file"] = flags.features;
  if (flags.common.json) return print_json(result);
  print_feature_table(result);
  fmt::print("samples took {} each\n", evaluations_text(result["nfe"].get<std::int64_t>()));
}

void eval(const EvalFlags& flags) {
  const Generator generator =
      Generator::load(flags.model, flags.common.chosen_device(), {.choice = flags.sampler.choice});
  const ModelData opened = open_model_data(generator.model().configuration, flags.data);
  const Dataset& data = opened.data;
  if (!flags.features.empty()) return eval_features(flags, generator, opened);
  EvaluationOptions options = flags.options;
  options.on_test_split = opened.held_out;
  options.seed = flags.common.seed;
  require_dimension(data, generator.dimension());
  nlohmann::json likelihood = nlohmann::json::object();
  if (flags.log_likelihood) add_log_likelihood(likelihood, flags, generator.model(), data);
  nlohmann::json result = evaluate(generator, data, options);
  result.update(likelihood);
  result["model"] = flags.model;
  result["data"] = opened.spec;
  result["compared_with"] = compared_with(opened);
  if (!flags.neighbours.empty()) {
    write_neighbours(flags.neighbours, generator, data, flags.common.seed);
    result["neighbours"] = flags.neighbours;
  }
  if (flags.common.json) {
    print_json(result);
    return;
  }
  const auto number = [&](const char* key) { return result[key].get<double>(); };
  const auto n = result["n"].get<std::int64_t>();
  const bool tells = result["w2_ratio_tells"].get<bool>();
  if (n < options.samples)
    fmt::print("{} of {} samples a draw are compared: two draws of {} rows have {} each\n", n, options.samples,
               opened.held_out ? data.test_split().count() : data.count(), n);
  if (opened.trained_on && !opened.held_out && !data.has_test_split())
    fmt::print("compared with the rows that the model was trained on: train --hold-out 0.1 keeps some apart\n");
  if (!tells && result.contains("nearest_train")) print_nearest(result);
  fmt::print("W2            {:.4g} +- {:.2g}   between {} samples and {} {}, {} draws\n", number("w2"),
             number("w2_std"), n, n, compared_with(opened), options.repeats);
  fmt::print("floor         {:.4g} +- {:.2g}   between two such draws of the data\n", number("w2_floor"),
             number("w2_floor_std"));
  fmt::print("ratio         {:.3f}{}\n", number("w2_ratio"),
             tells ? std::string()
                   : fmt::format("             says next to nothing in {} dimensions: any samples of the data's spread "
                                 "come near 1",
                                 generator.dimension()));
  if (result.contains("w2_standardised"))
    fmt::print("standardised  {:.4g}, floor {:.4g}, ratio {:.3f}: every column by its own deviation\n",
               number("w2_standardised"), number("w2_standardised_floor"), number("w2_standardised_ratio"));
  fmt::print("collapse_rho  {:.3f}             0: every sample is the mean, 1: the spread is the data's\n",
             number("collapse_rho"));
  fmt::print("sliced W2     {:.4g}\nMMD           {:.3g}\n", number("sliced_w2"), number("mmd"));
  print_features(result, tells, data.is_images());
  if (tells && result.contains("nearest_train")) print_nearest(result);
  if (flags.log_likelihood)
    fmt::print("log-likelihood {:.4f} +- {:.4f} nats, mean of {} {}\n", number("log_likelihood"),
               number("log_likelihood_error"), result["log_likelihood_rows"].get<std::int64_t>(),
               data.has_test_split() ? "test rows" : "rows");
  if (result.contains("bits_per_dimension"))
    fmt::print("bits          {:.4f} a dimension, with uniform dequantisation\n", number("bits_per_dimension"));
  fmt::print("speed         {:.4g} samples/s, {} each\n", number("samples_per_second"),
             evaluations_text(result["nfe"].get<std::int64_t>()));
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
  command.option("--features", flags->features,
                 "FILE.safetensors of `otnfm features`: Frechet distance, KID, precision and recall in its features, "
                 "beside the floor and the data's Gaussian; the other figures are left out");
  command.flag("--log-likelihood", flags->log_likelihood,
               "the mean log-likelihood of the data: for a family with an inverse and a Gaussian source");
  flags->sampler.add(command);
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
