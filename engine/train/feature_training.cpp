#include "engine/train/feature_training.h"

#include <algorithm>
#include <cmath>

#include "engine/data/random_streams.h"
#include "engine/data/record_draw.h"
#include "engine/train/optimizer.h"

namespace otnfm {
namespace {

/// [n, classes]: 1 at each row's class.
Dataset shares_of(const std::vector<std::uint8_t>& labels, std::int64_t classes) {
  std::vector<float> values(labels.size() * static_cast<std::size_t>(classes), 0.0f);
  for (std::size_t i = 0; i < labels.size(); ++i) values[i * static_cast<std::size_t>(classes) + labels[i]] = 1;
  return Dataset::points("labels", std::move(values), classes);
}

/// The weights become their moving averages, which the file has and samples are judged by.
void take_averages(FeatureNetwork& network) {
  const Parameters& parameters = network.parameters();
  std::copy_n(parameters.averages().data, parameters.averages().size(), parameters.values().data);
}

double accuracy_of(const FeatureNetwork& network, const Dataset& test) {
  constexpr std::int64_t kAtOnce = 1024;
  std::int64_t right = 0;
  std::vector<float> rows(static_cast<std::size_t>(std::min(kAtOnce, test.count()) * test.dimension()));
  for (std::int64_t first = 0; first < test.count(); first += kAtOnce) {
    const View<float> some(rows.data(), {std::min(kAtOnce, test.count() - first), test.dimension()});
    test.copy_rows(first, some);
    const std::vector<std::int64_t> classes = classify(network, View<const float>(some));
    for (std::int64_t i = 0; i < some.rows(); ++i)
      right += classes[static_cast<std::size_t>(i)] == test.labels()[static_cast<std::size_t>(first + i)] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(test.count());
}

}  // namespace

TrainedFeatures train_features(const Dataset& data, const FeatureTrainingOptions& options,
                               const FeatureTrainingListener& listener) {
  if (!data.is_images())
    throw InputError("features are of images, and " + data.name() + " is none: mnist:DIR and cifar10:DIR are");
  if (data.labels().empty() || !data.has_test_split() || data.test_split().labels().empty())
    throw InputError(data.name() + " has no labels to train features on: mnist:DIR and cifar10:DIR have");
  const Dataset test = data.test_split();
  const std::int64_t classes =
      1 + std::max(*std::ranges::max_element(data.labels()), *std::ranges::max_element(test.labels()));
  TrainedFeatures trained;
  trained.network = std::make_unique<FeatureNetwork>(
      FeatureNetwork::Options{.image = data.sample_shape(), .classes = std::max<std::int64_t>(classes, 2)});
  FeatureNetwork& network = *trained.network;
  network.parameters().allocate(Device::cpu, options.seed);

  TrainingOptions of_optimizer;
  of_optimizer.steps = options.steps;
  of_optimizer.lr = options.learning_rate;
  of_optimizer.weight_decay = 0.01;
  of_optimizer.ema_decay = std::clamp(1 - 10.0 / static_cast<double>(options.steps), 0.0, 0.999);
  Optimizer optimizer(of_optimizer, Device::cpu);
  Stream stream(Device::cpu);
  Tape tape(Device::cpu);
  HeldMemory held;
  const Dataset shares = shares_of(data.labels(), network.options().classes);
  // One key for both: the same rows of pictures and of classes.
  const RandomKey key{.seed = options.seed, .stream = kTargetStream, .step = optimizer.step()};
  const Tensor images = record_draw(tape, data, options.batch, key, held);
  const Tensor target = record_draw(tape, shares, options.batch, key, held);
  const Tensor loss = cross_entropy(tape, network.logits(tape, network.features(tape, images)), target);
  tape.keep(loss);
  tape.backward(loss);
  optimizer.record(tape, network.parameters());
  tape.plan();
  const std::int64_t told_every = std::max<std::int64_t>(1, options.steps / 10);
  for (std::int64_t step = 1; step <= options.steps; ++step) {
    tape.run(stream);
    if (step % told_every != 0 && step != options.steps) continue;
    const double now = tape.view(loss).data[0];
    if (!std::isfinite(now))
      throw RunError("the loss of the features is not finite any more at step " + std::to_string(step));
    if (listener) listener(step, now);
  }
  take_averages(network);
  trained.origin = {
      .data = data.name(), .seed = options.seed, .steps = options.steps, .accuracy = accuracy_of(network, test)};
  return trained;
}

}  // namespace otnfm
