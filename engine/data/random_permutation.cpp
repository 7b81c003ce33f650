#include "engine/data/random_permutation.h"

#include <algorithm>
#include <bit>
#include <string>

#include "kernels/error.h"

namespace otnfm {
namespace {

// The finaliser of MurmurHash3 (A. Appleby, public domain).
std::uint32_t mix(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

}  // namespace

RandomPermutation::RandomPermutation(std::int64_t size, const DrawKey& key) : size_(size) {
  if (size < 1) throw InputError("a permutation of " + std::to_string(size) + " rows: there must be at least 1");
  const int bits = std::bit_width(static_cast<std::uint64_t>(size - 1));
  half_bits_ = std::max(1, (bits + 1) / 2);
  for (std::uint64_t block = 0; block < 2; ++block) {
    const PhiloxWords words = random_words(key.seed, key.stream, key.step, block);
    std::copy(words.word, words.word + 4, round_keys_.begin() + 4 * block);
  }
}

std::int64_t RandomPermutation::operator()(std::int64_t i) const {
  const std::uint32_t mask = static_cast<std::uint32_t>((std::uint64_t{1} << half_bits_) - 1);
  std::uint64_t x = static_cast<std::uint64_t>(i);
  do {
    std::uint32_t left = static_cast<std::uint32_t>(x >> half_bits_) & mask;
    std::uint32_t right = static_cast<std::uint32_t>(x) & mask;
    for (std::uint32_t round_key : round_keys_) {
      const std::uint32_t next = left ^ (mix(right ^ round_key) & mask);
      left = right;
      right = next;
    }
    x = static_cast<std::uint64_t>(left) << half_bits_ | right;
  } while (x >= static_cast<std::uint64_t>(size_));
  return static_cast<std::int64_t>(x);
}

}  // namespace otnfm
