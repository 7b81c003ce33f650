// otnfm features: a network of features for `eval --features`.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "engine/train/feature_training.h"
#include "kernels/clock.h"
#include "tools/command.h"

namespace otnfm {
namespace {

struct FeaturesFlags {
  std::string data, out;
  FeatureTrainingOptions options;
  CommonFlags common;
};

void features(FeaturesFlags& flags) {
  const Dataset data = open_dataset(flags.data);
  flags.options.seed = flags.common.seed;
  const double start = now();
  const TrainedFeatures trained = train_features(data, flags.options, [&](std::int64_t step, double loss) {
    if (!flags.common.json)
      fmt::print("step {}/{}  loss {:.4g}  {:.0f} s\n", step, flags.options.steps, loss, now() - start);
  });
  save_features(flags.out, *trained.network, trained.origin);
  if (flags.common.json)
    print_json({{"out", flags.out},
                {"data", flags.data},
                {"features", trained.network->feature_count()},
                {"weights", trained.network->parameters().weight_count()},
                {"steps", flags.options.steps},
                {"seed", flags.options.seed},
                {"accuracy", trained.origin.accuracy},
                {"seconds", now() - start}});
  else
    fmt::print("{} features of {} weights, {:.2f}% of the test images classified rightly: {}\n",
               trained.network->feature_count(), trained.network->parameters().weight_count(),
               100 * trained.origin.accuracy, flags.out);
}

}  // namespace

void add_features(CommandLine& program) {
  Command command = program.add("features", "Train a network of features on labelled images, for eval --features");
  auto flags = std::make_shared<FeaturesFlags>();
  command.option("--data", flags->data, "images with labels: mnist:DIR or cifar10:DIR").required();
  command.option("--out", flags->out, "FILE.safetensors").required().file({".safetensors"});
  command.option("--steps", flags->options.steps, "training steps").positive();
  command.option("--batch", flags->options.batch, "images a step").between(1, 65536);
  command.option("--lr", flags->options.learning_rate, "the largest learning rate").between(0.0, 1.0);
  flags->common.add_threads(command);
  flags->common.add_seed(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    features(*flags);
  });
}

}  // namespace otnfm
