// MNIST's labels, plain or gzip-compressed.
#include "engine/io/idx.h"

#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace otnfm;
  return fuzz::read_as_file(bytes, count, [](const std::string& path) { (void)read_idx_labels(path); });
}
