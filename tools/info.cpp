// otnfm info: this program and the machine, or what a model file holds.
#include <fmt/format.h>

#include "engine/api/version.h"
#include "engine/core/json_text.h"
#include "engine/core/table.h"
#include "engine/couplings/coupling.h"
#include "engine/generate/flops.h"
#include "engine/generate/model.h"
#include "engine/generate/model_file.h"
#include "engine/generate/sampler.h"
#include "kernels/error.h"
#include "layers/flows/flow.h"
#include "tools/command.h"

namespace otnfm {
namespace {

struct InfoFlags {
  CommonFlags common;
  std::string model;
  bool tensors = false;
};

nlohmann::json about_program() {
  std::string reason;
  const bool cuda = cuda_available(&reason);
  return {{"version", OTNFM_VERSION},
          {"build", {{"cuda", cuda_built()}, {"compiler", OTNFM_COMPILER}, {"type", OTNFM_BUILD_TYPE}}},
          {"devices", {{"cpu", describe(Device::cpu)}, {"cuda", cuda ? describe(Device::cuda) : "none: " + reason}}},
          {"flows", names_of(flow_families())},
          {"couplings", names_of(couplings())}};
}

nlohmann::json about_model(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::load(path);
  nlohmann::json result = read_model_configuration(file);
  std::int64_t weights = 0;
  nlohmann::json tensors = nlohmann::json::object();
  for (const NamedTensor& tensor : file.tensors()) {
    tensors[tensor.name] = {{"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}};
    if (tensor.name.starts_with("ema/"))
      weights += static_cast<std::int64_t>(tensor.bytes.size() / size_of(tensor.dtype));
  }
  result["weights"] = weights;
  // A file from elsewhere may describe a flow that cannot be made; what it says is shown all the same.
  try {
    const Model model = load_model(file, Device::cpu);
    const bool of_velocity = !make_sampler(model.configuration)->is_map();
    result["flops_per_evaluation"] = flops_per_evaluation(*model.flow, of_velocity);
  } catch (const InputError&) {
    result["flops_per_evaluation"] = nullptr;
  }
  result["tensors"] = tensors;
  return result;
}

void print_lines(const nlohmann::json& object, const std::string& indent) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      fmt::print("{}{}\n", indent, key);
      print_lines(value, indent + "  ");
    } else {
      fmt::print("{}{:<18} {}\n", indent, key, value.is_string() ? value.get<std::string>() : json_text(value));
    }
  }
}

void print_model(nlohmann::json model, bool with_tensors) {
  const nlohmann::json tensors = std::move(model["tensors"]);
  model.erase("tensors");
  // A file from elsewhere may lack what training writes.
  const auto shown = [](const nlohmann::json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end()) return std::string("?");
    return found->is_string() ? found->get<std::string>() : json_text(*found);
  };
  fmt::print("{}: {} \u2192 {}, d = {}, after {} steps; {} weights in {} tensors{}\n\n", shown(model["flow"], "family"),
             shown(model, "source"), shown(model, "data"), shown(model, "dimension"), shown(model, "steps_done"),
             shown(model, "weights"), tensors.size(), with_tensors ? "" : " (--tensors lists them)");
  print_lines(model, "");
  if (with_tensors) fmt::print("\n");
  for (const auto& [name, tensor] : tensors.items())
    if (with_tensors)
      fmt::print("{:<40} {} {}\n", name, tensor["dtype"].get<std::string>(), json_text(tensor["shape"]));
}

void info(const InfoFlags& flags) {
  const nlohmann::json result = flags.model.empty() ? about_program() : about_model(flags.model);
  if (flags.common.json)
    print_json(result);
  else if (flags.model.empty())
    print_lines(result, "");
  else
    print_model(result, flags.tensors);
}

}  // namespace

void add_info(CommandLine& program) {
  Command command = program.add("info", "Say what this build and machine are, or what a model file holds");
  auto flags = std::make_shared<InfoFlags>();
  command.option("MODEL", flags->model, "model.safetensors");
  command.flag("--tensors", flags->tensors, "list the model's tensors too, as --json always does");
  flags->common.add_json(command);
  command.run([flags] { info(*flags); });
}

}  // namespace otnfm
