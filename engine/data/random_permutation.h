// Rows in shuffled order, without a shuffled list: a permutation of {0 .. n-1} that is computed number by number from
// (seed, stream, epoch), so a pass over the data can begin at any position.
//
// A balanced Feistel network (Luby and Rackoff, "How to construct pseudorandom permutations from pseudorandom
// functions", SIAM J. Comput. 17, 1988) on the smallest even number of bits that holds n, walked along its cycle until
// it lands below n (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002): below four steps a number
// on average. The round keys are Philox words; the round function is the finaliser of MurmurHash3.
#pragma once

#include <array>
#include <cstdint>

#include "engine/data/draw_key.h"

namespace otnfm {

class RandomPermutation {
 public:
  /// Of {0 .. size-1}; a function of size and the key's seed, stream and step. InputError for size < 1.
  RandomPermutation(std::int64_t size, const DrawKey& key);

  std::int64_t size() const { return size_; }
  /// Where number i goes, 0 <= i < size.
  std::int64_t operator()(std::int64_t i) const;

 private:
  std::int64_t size_;
  int half_bits_ = 1;
  std::array<std::uint32_t, 8> round_keys_;
};

}  // namespace otnfm
