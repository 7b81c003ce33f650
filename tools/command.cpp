#include "tools/command.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
#include "engine/generate/sampler.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm {

void CommonFlags::add_device(Command& command) {
  command.option("--device", device, "where it runs").one_of({"auto", "cpu", "cuda"});
}

void CommonFlags::add_threads(Command& command) {
  command
      .option("--threads", threads,
              "threads at most; 0: all processors, or OMP_NUM_THREADS. With 2 or more, train runs one beside them that "
              "makes pairs (minibatch and online)")
      .between(0, host::kMostThreads);
}

void CommonFlags::use_threads() const {
  host::set_thread_count(threads);
}

void CommonFlags::add_seed(Command& command) {
  command.option("--seed", seed, "seed of every random number");
}

void CommonFlags::add_json(Command& command) {
  command.flag("--json", json, "print one JSON object on stdout and nothing else there");
}

Device CommonFlags::chosen_device() const {
  if (device == "cpu") return Device::cpu;
  std::string reason;
  if (cuda_available(&reason)) return Device::cuda;
  if (device == "cuda") throw RunError("--device cuda: " + reason);
  return Device::cpu;
}

void print_json(const nlohmann::json& object) {
  fmt::print("{}\n", shown_json(object));
}

void SamplerFlags::add(Command& command) {
  command
      .option("--steps-per-sample", choice.steps, "of a model trained by objective velocity: steps of its integration")
      .positive();
  command.option("--sampler", choice.method, "and its method").one_of(integration_methods());
}

std::string evaluations_text(std::int64_t count) {
  return count == 1 ? std::string("one network evaluation") : fmt::format("{} network evaluations", count);
}

}  // namespace otnfm
