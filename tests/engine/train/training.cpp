// Training as a whole: the same on every backend, the same after a resume, collapsing where it must.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/core/table.h"
#include "engine/evaluate/evaluation.h"
#include "engine/generate/generator.h"
#include "engine/generate/model_file.h"
#include "engine/io/npy.h"
#include "engine/objectives/objective.h"
#include "engine/train/optimizer.h"
#include "engine/train/run_parts.h"
#include "engine/train/run_start.h"
#include "engine/train/run_state.h"
#include "engine/train/training_run.h"
#include "kernels/random.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

namespace fs = std::filesystem;

struct Silent : RunListener {
  void note(const std::string&) override {}
  void logged(const StepReport&, std::int64_t, const nlohmann::json& metrics) override { lines.push_back(metrics); }
  std::vector<nlohmann::json> lines;
};

/// Ends the run at its first log line.
struct Stopping : Silent {
  explicit Stopping(std::atomic<bool>& stop) : stop_(stop) {}
  void logged(const StepReport&, std::int64_t, const nlohmann::json&) override { stop_ = true; }
  std::atomic<bool>& stop_;
};

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "otnfm-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw RunError("no temporary folder");
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

TrainingOptions small_options(const std::string& coupling, Precision precision = Precision::float32) {
  TrainingOptions options = default_options(open_dataset("8gaussians"));
  options.coupling = coupling;
  options.precision = precision;
  options.flow.update({{"width", 16}, {"depth", 1}, {"blocks", 2}});
  options.batch = 17;
  options.of_couplings["bank"] = std::int64_t{64};
  options.steps = 20;
  options.warmup = 3;
  return options;
}

RunStart start_of(const TrainingOptions& options) {
  return {.options = options, .data = open_dataset(options.data)};
}

RunStart start_of_resumed(const fs::path& folder) {
  SavedRun run = read_saved_run(folder);
  RunStart start = start_of(options_of_state(run.state));
  start.state = std::move(run.state);
  start.lock = std::move(run.lock);
  return start;
}

/// All weights after some steps.
std::vector<float> weights_after(const TrainingOptions& options, Device device, int steps, Trainer::Debug debug = {}) {
  const Dataset data = open_dataset(options.data);
  const Source source = open_source(NamedSource(options.source), data);
  nlohmann::json configuration = options.flow;
  configuration["dimension"] = data.dimension();
  const std::unique_ptr<Flow> flow = make_flow(configuration);
  const auto coupling =
      find_by_name(couplings(), options.coupling, "coupling").make(source, data, options.coupling_options(device));
  coupling->prepare({});
  const auto objective = find_by_name(objectives(), options.objective, "objective")
                             .make({.time_weighting = time_weighting_by_name(options.time_weighting),
                                    .source = source,
                                    .target = data,
                                    .device = device});
  Optimizer optimizer(options, device);
  Trainer trainer({.flow = *flow,
                   .objective = *objective,
                   .optimizer = optimizer,
                   .source = source,
                   .target = data,
                   .coupling = coupling.get()},
                  options, device, debug);
  for (int k = 0; k < steps; ++k) trainer.run_step();
  std::vector<float> weights(flow->parameters().values().size());
  copy_bytes(trainer.stream(), weights.data(), flow->parameters().values().data, weights.size() * sizeof(float));
  trainer.stream().synchronize();
  return weights;
}

TEST(Training, TenStepsAreTheSameOnCudaAsOnTheCpu) {
  OTNFM_NEEDS_CUDA();
  for (const CouplingEntry& entry : couplings()) {
    const char* coupling = entry.name;
    const TrainingOptions options = small_options(coupling);
    const std::vector<float> cpu = weights_after(options, Device::cpu, 10),
                             cuda = weights_after(options, Device::cuda, 10);
    double square = 0;
    for (float w : cpu) square += static_cast<double>(w) * w;
    const double scale = std::sqrt(square / static_cast<double>(cpu.size()));
    for (std::size_t i = 0; i < cpu.size(); ++i)
      ASSERT_TRUE(std::abs(cpu[i] - cuda[i]) <= 1e-5 * std::max<double>(scale, std::abs(cpu[i])))
          << coupling << ", weight " << i << ": " << cpu[i] << " " << cuda[i];
  }
}

TEST(Training, DebugMemoryChangesNothing) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    for (const char* family : {"resnet", "gru"}) {
      TrainingOptions options = small_options("independent", precision);
      options.flow["family"] = family;
      EXPECT_EQ(weights_after(options, Device::cpu, 5),
                weights_after(options, Device::cpu, 5, {.memory = true, .finite = true}));
    }
  }
}

TEST(Training, AResumedRunGivesTheSameBitsAsAnUndisturbedOne) {
  std::vector<std::string> names = {"bf16"};
  for (const CouplingEntry& entry : couplings()) names.emplace_back(entry.name);
  for (const std::string& coupling : names) {
    Folder folder;
    TrainingOptions options = small_options(coupling);
    if (coupling == "bf16") {  // whose weights have a copy, of layers
      options = small_options("independent", Precision::bfloat16);
      options.flow["family"] = "gru";
    }
    Silent silent;
    run_training(start_of(options), {.out = folder / "whole"}, silent);

    std::atomic<bool> stop{false};
    Stopping one_step(stop);
    run_training(start_of(options), {.out = folder / "parts", .log_every = 1, .stop = &stop}, one_step);
    const RunSummary summary =
        run_training(start_of_resumed(folder / "parts"), {.out = folder / "parts", .checkpoint_every = 7}, silent);
    EXPECT_TRUE(summary.finished);

    const SafetensorsFile whole = SafetensorsFile::load(folder / "whole" / "state.safetensors"),
                          parts = SafetensorsFile::load(folder / "parts" / "state.safetensors");
    ASSERT_EQ(whole.tensors().size(), parts.tensors().size());
    for (const NamedTensor& tensor : whole.tensors())
      EXPECT_TRUE(std::ranges::equal(tensor.bytes, parts.tensor(tensor.name).bytes)) << coupling << ": " << tensor.name;
  }
}

TEST(Training, RefusesAFolderThatHoldsARun) {
  Folder folder;
  Silent silent;
  run_training(start_of(small_options("independent")), {.out = folder / "run"}, silent);
  EXPECT_THROW(run_training(start_of(small_options("independent")), {.out = folder / "run"}, silent), InputError);
}

TEST(Training, StopsWhereTheLossIsNotFinite) {
  Folder folder;
  Silent silent;
  TrainingOptions options = small_options("independent");
  options.lr = 10;
  options.clip_norm = 0;
  options.schedule = "constant";
  options.warmup = 0;
  options.steps = 3000;
  options.weight_decay = 1;  // with lr 10 every weight grows ninefold a step
  EXPECT_THROW(run_training(start_of(options), {.out = folder / "run", .log_every = 1}, silent), RunError);
}

TEST(Generator, GivesTheSameSamplesForAnyBatch) {
  Folder folder;
  Silent silent;
  run_training(start_of(small_options("independent")), {.out = folder / "run"}, silent);
  const fs::path model = folder / "run" / "model.safetensors";
  std::vector<float> one(101 * 2), other(101 * 2);
  const Generator generator = Generator::load(model, Device::cpu);
  generator.prepare(101).sample(nullptr, 5, 0, {one.data(), {101, 2}});
  GeneratorContext small = generator.prepare(7);
  small.sample(nullptr, 5, 0, {other.data(), {50, 2}});
  small.sample(nullptr, 5, 50, {other.data() + 100, {51, 2}});
  EXPECT_EQ(one, other);
}

TEST(Training, OnMirrorImagesToo) {
  Folder folder;
  Silent silent;
  TrainingOptions options = small_options("online");
  options.steps = 4;
  options.source = "gaussian-fit";
  options.flip = true;
  options.hold_out = 0.25;
  std::vector<std::uint8_t> pixels(40 * 6);
  for (std::size_t k = 0; k < pixels.size(); ++k) pixels[k] = static_cast<std::uint8_t>(k % 6 < 3 ? k : 255 - k);
  const auto start = [&] {
    return RunStart{.options = options, .data = Dataset::images_of_bytes("pictures", pixels, {2, 3, 1})};
  };
  const RunOptions run{.out = folder / "run"};
  const RunParts parts(start(), run, silent);
  EXPECT_EQ(parts.data().count(), 30);
  EXPECT_EQ(parts.data().test_split().count(), 10);
  EXPECT_FALSE(parts.data().mirrored());
  EXPECT_EQ(parts.pair().target.count(), 60);
  EXPECT_EQ(parts.file_checksum(), start().data.checksum());
  // The noise that is fitted to them has their symmetry.
  const std::vector<float>& mean = parts.pair().source.parameters()->mean;
  for (int line : {0, 3}) EXPECT_NEAR(mean[line], mean[line + 2], 1e-6);

  run_training(start(), run, silent);
  const nlohmann::json of_model =
      nlohmann::json::parse(SafetensorsFile::load(folder / "run" / "model.safetensors").metadata().at("otnfm"));
  EXPECT_EQ(of_model.at("training").at("flip"), true);
  const SavedRun saved = read_saved_run(folder / "run");
  EXPECT_TRUE(options_of_state(saved.state).flip);
  EXPECT_EQ(coupling_state_of(saved.state).integers_of("tau").size(), 60u);

  options.hold_out = 0;
  try {
    const RunParts of_points(start_of(options), run, silent);
    FAIL() << "points have no mirror images";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "--flip turns images round, which 8gaussians does not hold");
  }
}

TEST(ModelFile, HoldsWhatTheLiveWeightsGive) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    if (device == Device::cuda && !cuda_available()) continue;
    Folder folder;
    const TrainingOptions options = small_options("independent");
    const fs::path path = folder / "model.safetensors";
    const Dataset data = open_dataset(options.data);
    nlohmann::json configuration = options.flow;
    configuration["dimension"] = data.dimension();
    const std::unique_ptr<Flow> flow = make_flow(configuration);
    flow->parameters().allocate(device, 3);
    const View<float> averages = flow->parameters().averages();
    Stream stream(device);
    std::vector<float> drawn(averages.size());
    normal(host_stream(), {.y = {drawn.data(), {1, averages.size()}}, .key = {.seed = 4}, .standard_deviation = 0.2f});
    copy_bytes(stream, averages.data, drawn.data(), drawn.size() * sizeof(float));
    const Source source = Source::gaussian(2);
    const nlohmann::json of_model = model_configuration(
        *flow, source, data, {{"data", options.data}, {"training", options.to_json()}, {"steps_done", 0}});
    save_model(path, *flow, source, stream, of_model);
    const Generator live(model_of(*flow, source, of_model, stream), device), saved = Generator::load(path, device);
    std::vector<float> from_live(2 * 50), from_file(from_live.size());
    for (const auto& [generator, samples] : {std::pair{&live, &from_live}, {&saved, &from_file}}) {
      GeneratorContext context = generator->prepare(50);
      context.sample(nullptr, 1, 0, {samples->data(), {50, 2}});
      context.synchronize();
    }
    EXPECT_EQ(from_live, from_file);
    EXPECT_EQ(live.model().configuration, saved.model().configuration);
  }
}

TEST(ModelFile, ADamagedModelIsRefusedOrReadButNeverMore) {
  Folder folder;
  Silent silent;
  run_training(start_of(small_options("independent")), {.out = folder / "run"}, silent);
  const SafetensorsFile file = SafetensorsFile::load(folder / "run" / "model.safetensors");
  const nlohmann::json configuration = nlohmann::json::parse(file.metadata().at("otnfm"));
  const auto refused = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = configuration;
    if (value.is_discarded())
      changed.erase(key);
    else
      changed[key] = value;
    write_safetensors(folder / "changed.safetensors", file.tensors(), {{"otnfm", changed.dump()}});
    EXPECT_THROW(load_model(folder / "changed.safetensors", Device::cpu), InputError) << key << " " << value;
  };
  const nlohmann::json erased(nlohmann::json::value_t::discarded);
  for (const char* key : {"version", "data", "source", "dimension", "flow", "sample_shape"}) refused(key, erased);
  refused("version", 99);
  refused("dimension", 3);
  refused("sample_shape", {28, 28, 1});
  refused("sample_shape", {-1, -2, 1});
  refused("sample_shape", {1, 2});
  refused("source", "nowhere");
  refused("flow", {{"family", "resnet"}, {"dimension", 2}, {"width", 65536}, {"blocks", 1024}});
  refused("flow", {{"family", "other"}});
}

TEST(ModelFile, OfBeforeSampleShapesIsRead) {
  Folder folder;
  Silent silent;
  run_training(start_of(small_options("independent")), {.out = folder / "run"}, silent);
  const SafetensorsFile file = SafetensorsFile::load(folder / "run" / "model.safetensors");
  nlohmann::json before = nlohmann::json::parse(file.metadata().at("otnfm"));
  EXPECT_EQ(before.at("sample_shape"), nlohmann::json({2}));
  before.erase("sample_shape");
  for (const auto& [image, shape] : {std::pair{nlohmann::json(nullptr), Shape{2}},
                                     {nlohmann::json{1, 1, 2}, Shape{1, 2, 1}},  // grey
                                     {nlohmann::json{2, 1, 1}, Shape{2}}}) {     // planes
    before["image"] = image;
    write_safetensors(folder / "before.safetensors", file.tensors(), {{"otnfm", before.dump()}});
    EXPECT_EQ(load_model(folder / "before.safetensors", Device::cpu).sample_shape(), shape) << image;
  }
  before["image"] = {1, 28, 28};
  write_safetensors(folder / "before.safetensors", file.tensors(), {{"otnfm", before.dump()}});
  EXPECT_THROW(load_model(folder / "before.safetensors", Device::cpu), InputError);
}

}  // namespace
}  // namespace otnfm
