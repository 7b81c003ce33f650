// A JSON configuration: of a training run (--config, and inside a checkpoint), and of a flow (inside a model file).
#include <nlohmann/json.hpp>

#include "engine/train/options.h"
#include "layers/flows/flow.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace otnfm;
  const nlohmann::json json = nlohmann::json::parse(bytes, bytes + count, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  try {
    TrainingOptions options;
    options.read(json);
    if (TrainingOptions again; (again.read(options.to_json()), again.to_json() != options.to_json())) std::abort();
  } catch (const InputError&) {
  }
  try {
    (void)make_flow(json);
  } catch (const InputError&) {
  }
  return 0;
}
