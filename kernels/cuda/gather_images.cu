// 1 byte read and 4 written a number, and 8 an index: bound by memory. Neighbouring threads take neighbouring numbers
// of a row, 16 bytes each where the addresses allow it; a mirrored image is read byte by byte, from the same lines.
#include "kernels/device/elements.h"
#include "kernels/device/pixel.h"
#include "kernels/gather_images.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void gather_images_kernel(GatherImages a) {
  const std::int64_t n = a.images.shape[0];
  const auto W = static_cast<std::int32_t>(a.images.shape[2]), C = static_cast<std::int32_t>(a.images.shape[3]);
  for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    const std::int64_t source = a.index.data[i];
    Group<float, kWidth> values;
    if (source >= 0 && source < n) {
      const auto pixels = load_group<kWidth>(a.images.row(source) + j);
      for (int k = 0; k < kWidth; ++k) values[k] = value_of_pixel(pixels[k]);
    } else if (source >= n && source < 2 * n) {
      const std::uint8_t* const image = a.images.row(source - n);
      std::int32_t place = static_cast<std::int32_t>(j) / C, c = static_cast<std::int32_t>(j) - place * C;
      std::int32_t line = place / W, w = place - line * W;
      for (int k = 0; k < kWidth; ++k) {
        values[k] = value_of_pixel(image[(line * W + W - 1 - w) * C + c]);
        if (++c < C) continue;
        c = 0;
        if (++w < W) continue;
        w = 0;
        ++line;
      }
    } else {
      for (int k = 0; k < kWidth; ++k) values[k] = float_of_bits(0x7fc00000u);
    }
    store_group(a.y.row(i) + j, values);
  });
}

}  // namespace

void gather_images(Stream& stream, const GatherImages& a) {
  const bool grouped = can_group(a.y) && reinterpret_cast<std::uintptr_t>(a.images.data) % kGroup == 0;
  launch(grouped ? gather_images_kernel<kGroup> : gather_images_kernel<1>,
         element_grid(a.y.rows(), a.y.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
