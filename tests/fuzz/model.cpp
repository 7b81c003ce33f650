// A whole model file: what `otnfm sample` opens. The source may name other files; none of that name exist here.
#include "engine/generate/model_file.h"

#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace otnfm;
  return fuzz::read_as_file(bytes, count, [](const std::string& path) { (void)load_model(path, Device::cpu); });
}
