// Runs of the numbers of a random stream (kernels/random.h). A loop over whole Philox blocks is branch-free, so that
// g++ computes 16 blocks at once; the ragged ends of a run are computed apart, by the same functions and so with the
// same bits.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/random.h"

namespace otnfm::cpu {

/// y[0 .. count): the numbers first .. first + count - 1 of a stream, kPerBlock of them a Philox block.
template <int kPerBlock, class T, class Map>
void generate(T* y, std::uint64_t first, std::int64_t count, const RandomKey& key, std::uint64_t step, const Map& map) {
  const std::uint64_t seed = key.seed;
  const std::uint32_t stream = key.stream;
  std::int64_t done = 0;
  const auto ragged = [&](std::uint64_t skip, std::int64_t end) {
    T numbers[kPerBlock];
    map(random_words(seed, stream, step, (first + done) / kPerBlock), numbers);
    for (; done < end; ++done, ++skip) y[done] = numbers[skip];
  };
  if (const std::uint64_t skip = first % kPerBlock; skip != 0)
    ragged(skip, std::min<std::int64_t>(count, kPerBlock - skip));
  const std::int64_t blocks = (count - done) / kPerBlock;
  const std::uint64_t first_block = (first + done) / kPerBlock;
  T* __restrict to = y + done;
  for (std::int64_t b = 0; b < blocks; ++b) {
    T numbers[kPerBlock];
    map(random_words(seed, stream, step, first_block + b), numbers);
    for (int k = 0; k < kPerBlock; ++k) to[kPerBlock * b + k] = numbers[k];
  }
  done += kPerBlock * blocks;
  if (done < count) ragged(0, count);
}

}  // namespace otnfm::cpu
