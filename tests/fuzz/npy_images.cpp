// A .npy file of images, or of points in bytes.
#include "engine/io/array_file.h"
#include "engine/io/image_array.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace otnfm;
  return fuzz::read_as_file(bytes, count, [](const std::string& path) {
    NpyArray array = read_npy(path, kMaxFileBytes, NpyBytes::kept);
    if (has_rank_of_images(array))
      (void)images_of(std::move(array), path);
    else
      (void)matrix_float_of(array, path);
  });
}
