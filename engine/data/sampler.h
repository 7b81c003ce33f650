// Rows in shuffled order, without a shuffled list: a permutation of {0 .. n-1} that is computed number by number from
// (seed, stream, epoch), so the whole state of a pass over the data is one position and any position can be resumed.
//
// A balanced Feistel network (Luby and Rackoff, "How to construct pseudorandom permutations from pseudorandom
// functions", SIAM J. Comput. 17, 1988) on the smallest even number of bits that holds n, walked along its cycle until
// it lands below n (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002): below four steps a number
// on average. The round keys are Philox words; the round function is the finaliser of MurmurHash3.
#pragma once

#include <array>
#include <cstdint>

#include "engine/data/draw_key.h"
#include "kernels/view.h"

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

/// Epoch after epoch, each row once an epoch, each epoch in an order of its own.
class EpochSampler {
 public:
  /// InputError for rows < 1.
  EpochSampler(std::int64_t rows, std::uint64_t seed, std::uint32_t stream);

  /// The next row numbers; a batch may reach over the end of an epoch.
  void next(View<std::int64_t> index);

  /// How many row numbers have been given out: with rows, seed and stream, the whole state.
  std::int64_t position() const { return position_; }
  /// InputError for a negative position.
  void set_position(std::int64_t position);

  std::int64_t epoch() const { return position_ / permutation_.size(); }

 private:
  DrawKey key_;  // its step is the epoch that permutation_ belongs to
  std::int64_t position_ = 0;
  RandomPermutation permutation_;
};

}  // namespace otnfm
