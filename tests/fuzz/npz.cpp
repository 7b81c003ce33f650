// A .npz file: a zip archive of .npy files.
#include "engine/io/npy.h"

#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace otnfm;
  return fuzz::read_as_file(bytes, count, [](const std::string& path) {
    for (const std::string& name : names_of_npz(path)) (void)read_npz(path, name);
  });
}
