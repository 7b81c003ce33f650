// Which random rows: everything that is drawn in engine/data is a function of (seed, stream, step, row number) alone,
// so that a draw can be split into batches, made by any number of threads, and made again later from its key.
#pragma once

#include <cstdint>

#include "kernels/random.h"
#include "kernels/stream.h"

namespace otnfm {

/// Row i of a draw has the number first_row + i. Two draws of one program have two streams; two steps of a loop have
/// two steps.
struct DrawKey {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint64_t step = 0;
  std::int64_t first_row = 0;

  DrawKey at_row(std::int64_t row) const { return {seed, stream, step, first_row + row}; }
};

/// The key of a random op on the CPU. It refers to `key`, which must outlive it.
inline RandomKey random_key(const DrawKey& key) {
  return {.seed = key.seed, .stream = key.stream, .step = {&key.step, {1}}, .first_row = key.first_row};
}

/// A CPU stream of this thread's own, so that any thread may draw.
inline Stream& host_stream() {
  thread_local Stream stream(Device::cpu);
  return stream;
}

}  // namespace otnfm
