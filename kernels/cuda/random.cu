// 4 bytes a number and some 65 operations: on a GPU about as long in arithmetic as in memory. A thread computes whole
// Philox blocks and writes four numbers at once where the block starts at a multiple of 16 bytes.
#include "kernels/random.h"

#include <cmath>

#include "kernels/device/launch.h"
#include "kernels/device/random.h"
#include "kernels/device/vector.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;

/// Numbers first .. first + rows * d - 1 of the stream. `vector`: y is contiguous, and number 0 mod 4 lies at a
/// multiple of 16 bytes.
template <class Map>
__global__ void generate_kernel(View<float> y, RandomKey key, Map map, std::uint64_t first, bool vector) {
  const std::int64_t d = y.columns(), count = y.rows() * d;
  const std::uint64_t step = step_of(key), first_block = first / kNumbersPerBlock;
  const std::int64_t skip = static_cast<std::int64_t>(first % kNumbersPerBlock);
  const std::int64_t blocks = (skip + count + kNumbersPerBlock - 1) / kNumbersPerBlock;
  for (std::int64_t b = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; b < blocks;
       b += std::int64_t{kThreads} * gridDim.x) {
    float numbers[kNumbersPerBlock];
    map(random_words(key.seed, key.stream, step, first_block + b), numbers);
    const std::int64_t begin = kNumbersPerBlock * b - skip;  // the position in y of the block's first number
    if (vector && begin >= 0 && begin + kNumbersPerBlock <= count) {
      store_group(y.data + begin, Group<float, kNumbersPerBlock>{numbers[0], numbers[1], numbers[2], numbers[3]});
      continue;
    }
    for (int k = 0; k < kNumbersPerBlock; ++k) {
      const std::int64_t n = begin + k;
      if (n < 0 || n >= count) continue;
      const std::int64_t i = n / d;
      y.row(i)[n - i * d] = numbers[k];
    }
  }
}

template <class Map>
void generate_matrix(Stream& stream, const View<float>& y, const RandomKey& key, const Map& map) {
  const std::uint64_t first = static_cast<std::uint64_t>(key.first_row) * static_cast<std::uint64_t>(y.columns());
  const auto skip = static_cast<std::int64_t>(first % kNumbersPerBlock);
  const auto start = reinterpret_cast<std::uintptr_t>(y.data) - static_cast<std::uintptr_t>(skip) * sizeof(float);
  const std::int64_t blocks = y.empty() ? 0 : (skip + y.size() + kNumbersPerBlock - 1) / kNumbersPerBlock;
  launch(generate_kernel<Map>, grid_for(blocks, kThreads), kThreads, 0, stream.cuda(), y, key, map, first,
         y.contiguous() && start % 16 == 0);
}

__global__ void random_indices_kernel(RandomIndices a) {
  const IndexMap map{static_cast<std::uint32_t>(a.bound)};
  const std::int64_t count = a.index.shape[0];
  const std::uint64_t step = step_of(a.key), first = static_cast<std::uint64_t>(a.key.first_row);
  for (std::int64_t i = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; i < count;
       i += std::int64_t{kThreads} * gridDim.x) {
    const std::uint64_t n = first + static_cast<std::uint64_t>(i);
    std::int64_t index[kIndicesPerBlock];
    map(random_words(a.key.seed, a.key.stream, step, n / kIndicesPerBlock), index);
    a.index.data[i] = n % kIndicesPerBlock == 0 ? index[0] : index[1];
  }
}

}  // namespace

void uniform(Stream& stream, const Uniform& a) {
  generate_matrix(stream, a.y, a.key, UniformMap{a.low, a.high, a.high - a.low, std::nextafter(a.high, a.low)});
}

void normal(Stream& stream, const Normal& a) {
  generate_matrix(stream, a.y, a.key, NormalMap{a.mean, a.standard_deviation});
}

void random_indices(Stream& stream, const RandomIndices& a) {
  launch(random_indices_kernel, grid_for(a.index.shape[0], kThreads), kThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
