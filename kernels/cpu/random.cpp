// 4 bytes a number; some 35 integer operations a number for Philox, 30 more for the logarithm, root, sine and cosine of
// a normal one: bound by arithmetic. A loop over whole Philox blocks is branch-free, so that g++ computes 16 blocks at
// once; the ragged ends of a range are computed apart, by the same functions and so with the same bits.
#include "kernels/device/random.h"

#include <cmath>

#include "kernels/cpu/random_numbers.h"
#include "kernels/host/parallel.h"
#include "kernels/random.h"

namespace otnfm::cpu {
namespace {

constexpr std::int64_t kNumberGrain = 4096;
constexpr std::int64_t kUnit = 64;  // threads part a range at multiples of this, so that their stores stay aligned

/// body(begin, end) over parts of n numbers.
template <class Body>
void parallel_numbers(std::int64_t n, const Body& body) {
  host::parallel_ranges((n + kUnit - 1) / kUnit, kNumberGrain / kUnit,
                        [&](std::int64_t begin, std::int64_t end) { body(begin * kUnit, std::min(n, end * kUnit)); });
}

template <class Map>
void generate_matrix(const View<float>& y, const RandomKey& key, const Map& map) {
  const std::int64_t rows = y.rows(), d = y.columns();
  const std::uint64_t first = static_cast<std::uint64_t>(key.first_row) * static_cast<std::uint64_t>(d);
  const std::uint64_t step = step_of(key);
  if (y.contiguous()) {
    parallel_numbers(rows * d, [&](std::int64_t begin, std::int64_t end) {
      generate<kNumbersPerBlock>(y.data + begin, first + begin, end - begin, key, step, map);
    });
    return;
  }
  host::parallel_rows(rows, 2 * d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      generate<kNumbersPerBlock>(y.row(i), first + static_cast<std::uint64_t>(i) * d, d, key, step, map);
  });
}

}  // namespace

void uniform(Stream&, const Uniform& a) {
  generate_matrix(a.y, a.key, UniformMap{a.low, a.high, a.high - a.low, std::nextafter(a.high, a.low)});
}

void normal(Stream&, const Normal& a) {
  generate_matrix(a.y, a.key, NormalMap{a.mean, a.standard_deviation});
}

void random_indices(Stream&, const RandomIndices& a) {
  const std::uint64_t first = static_cast<std::uint64_t>(a.key.first_row), step = step_of(a.key);
  const IndexMap map{static_cast<std::uint32_t>(a.bound)};
  parallel_numbers(a.index.shape[0], [&](std::int64_t begin, std::int64_t end) {
    generate<kIndicesPerBlock>(a.index.data + begin, first + begin, end - begin, a.key, step, map);
  });
}

}  // namespace otnfm::cpu
