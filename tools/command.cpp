#include "tools/command.h"

#include "kernels/error.h"

namespace otnfm {

void CommonFlags::add_device(CLI::App& command) {
  command.add_option("--device", device, "auto, cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
}

void CommonFlags::add_seed(CLI::App& command) {
  command.add_option("--seed", seed, "seed of every random number")->capture_default_str();
}

void CommonFlags::add_json(CLI::App& command) {
  command.add_flag("--json", json, "print one JSON object on stdout and nothing else there");
}

Device CommonFlags::chosen_device() const {
  if (device == "cpu") return Device::cpu;
  std::string reason;
  if (cuda_available(&reason)) return Device::cuda;
  if (device == "cuda") throw RunError("--device cuda: " + reason);
  return Device::cpu;
}

}  // namespace otnfm
