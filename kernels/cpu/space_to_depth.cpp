// 8 bytes a number moved: bound by memory. A row of a patch is a run of p C numbers on both sides.
#include "kernels/space_to_depth.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

/// copy(at_space, at_depth, count) for each run: `space` [B, H, W, C].
template <class Copy>
void for_each_run(const Extents& space, std::int64_t p, const Copy& copy) {
  const std::int64_t W = space.shape[2], C = space.shape[3], run = p * C, across = W / p;
  host::parallel_rows(space.shape[0] * space.shape[1], W * C, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      // p divides the height, so rows of all images may be counted through.
      const std::int64_t patch_row = row / p, u = row % p;
      for (std::int64_t j = 0; j < across; ++j)
        copy(row * W * C + j * run, (patch_row * across + j) * p * run + u * run, run);
    }
  });
}

}  // namespace

void space_to_depth(Stream&, const SpaceToDepth& a) {
  with_stored_type(a.x.dtype, [&]<class T>() {
    const T* const x = a.x.as<T>().data;
    T* const y = a.y.as<T>().data;
    for_each_run(a.x, a.patch, [&](std::int64_t space, std::int64_t depth, std::int64_t count) {
      std::copy(x + space, x + space + count, y + depth);
    });
  });
}

void depth_to_space(Stream&, const DepthToSpace& a) {
  with_stored_type(a.x.dtype, [&]<class T>() {
    const T* const x = a.x.as<T>().data;
    T* const y = a.y.as<T>().data;
    for_each_run(a.y, a.patch, [&](std::int64_t space, std::int64_t depth, std::int64_t count) {
      std::copy(x + depth, x + depth + count, y + space);
    });
  });
}

}  // namespace otnfm::cpu
