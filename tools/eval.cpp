// otnfm eval: how far a model's samples are from the data.
#include <fmt/format.h>

#include "engine/generate/model_file.h"
#include "engine/train/evaluation.h"
#include "engine/train/preview.h"
#include "tools/command.h"

namespace otnfm {
namespace {

struct EvalFlags {
  CommonFlags common;
  std::string model, data, neighbours;
  EvaluationOptions options;
};

void eval(const EvalFlags& flags) {
  const Generator generator = Generator::load(flags.model, flags.common.chosen_device());
  const std::string spec = flags.data.empty() ? generator.model().configuration["data"].get<std::string>() : flags.data;
  const Dataset data = open_dataset(spec);
  EvaluationOptions options = flags.options;
  options.seed = flags.common.seed;
  nlohmann::json result = evaluate(generator, data, options);
  result["model"] = flags.model;
  result["data"] = spec;
  if (!flags.neighbours.empty()) {
    write_neighbours(flags.neighbours, generator, data, flags.common.seed);
    result["neighbours"] = flags.neighbours;
  }
  if (flags.common.json) {
    fmt::print("{}\n", result.dump());
    return;
  }
  const auto number = [&](const char* key) { return result[key].get<double>(); };
  fmt::print("W2            {:.4f} +- {:.4f}   between {} samples and {} fresh data, {} draws\n", number("w2"),
             number("w2_std"), options.samples, options.samples, options.repeats);
  fmt::print("floor         {:.4f} +- {:.4f}   between two fresh draws of the data\n", number("w2_floor"),
             number("w2_floor_std"));
  fmt::print("ratio         {:.3f}\n", number("w2_ratio"));
  fmt::print("collapse_rho  {:.3f}             0: every sample is the mean, 1: the spread is the data's\n",
             number("collapse_rho"));
  fmt::print("sliced W2     {:.4f}\nMMD           {:.3g}\n", number("sliced_w2"), number("mmd"));
  if (result.contains("nearest_train"))
    fmt::print("nearest train {:.3f} of a sample, {:.3f} of a test point\n", number("nearest_train"),
               number("nearest_train_test"));
  fmt::print("speed         {:.4g} samples/s, one network evaluation each\n", number("samples_per_second"));
  if (!flags.neighbours.empty()) fmt::print("neighbours    {}\n", flags.neighbours);
}

}  // namespace

void add_eval(CLI::App& program) {
  CLI::App* command = program.add_subcommand("eval", "Compare a model's samples with the data");
  auto flags = std::make_shared<EvalFlags>();
  command->add_option("MODEL", flags->model, "model.safetensors")->required();
  command->add_option("--data", flags->data, "what to compare with; the model's own data unless told");
  command->add_option("-n", flags->options.samples, "samples a draw")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--repeats", flags->options.repeats, "draws")->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--neighbours", flags->neighbours,
                      "FILE.png: samples of an image model, each above its nearest training image");
  flags->common.add_device(*command);
  flags->common.add_seed(*command);
  flags->common.add_json(*command);
  command->callback([flags] { eval(*flags); });
}

}  // namespace otnfm
