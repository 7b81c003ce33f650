// Numbers as text.
#include "engine/io/csv.h"

#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace otnfm;
  return fuzz::read_as_file(bytes, count, [](const std::string& path) { (void)read_csv(path); });
}
