// 8 bytes (4 of bfloat16) and some 20 operations a number, a Philox block of 65 for four of them: bound by memory, in
// bfloat16 by arithmetic as much. A thread computes whole Philox blocks, and moves their four numbers at once where
// they start at a multiple of their size.
#include "kernels/dropout.h"

#include "kernels/device/dropout.h"
#include "kernels/device/launch.h"
#include "kernels/device/random.h"
#include "kernels/device/vector.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;

/// Numbers first .. first + rows * d - 1 of the stream. `vector`: x and y are contiguous, and number 0 mod 4 lies at a
/// multiple of four numbers' size.
template <class T>
__global__ void dropout_kernel(View<const T> x, View<T> y, RandomKey key, std::uint64_t first, float rate, float factor,
                               bool vector) {
  const std::int64_t d = y.columns(), count = y.rows() * d;
  const std::uint64_t step = step_of(key), first_block = first / kNumbersPerBlock;
  const std::int64_t skip = static_cast<std::int64_t>(first % kNumbersPerBlock);
  const std::int64_t blocks = (skip + count + kNumbersPerBlock - 1) / kNumbersPerBlock;
  for (std::int64_t b = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; b < blocks;
       b += std::int64_t{kThreads} * gridDim.x) {
    const PhiloxWords words = random_words(key.seed, key.stream, step, first_block + b);
    const std::int64_t begin = kNumbersPerBlock * b - skip;  // the position of the block's first number
    if (vector && begin >= 0 && begin + kNumbersPerBlock <= count) {
      auto values = as_floats(load_group<kNumbersPerBlock>(x.data + begin));
      for (int k = 0; k < kNumbersPerBlock; ++k) values[k] = drop_out(values[k], words.word[k], rate, factor);
      store_group(y.data + begin, stored_as<T>(values));
      continue;
    }
    for (int k = 0; k < kNumbersPerBlock; ++k) {
      const std::int64_t n = begin + k;
      if (n < 0 || n >= count) continue;
      const std::int64_t i = n / d, j = n - i * d;
      y.row(i)[j] = T(drop_out(static_cast<float>(x.row(i)[j]), words.word[k], rate, factor));
    }
  }
}

}  // namespace

void dropout(Stream& stream, const Dropout& a) {
  const std::uint64_t first = static_cast<std::uint64_t>(a.key.first_row) * static_cast<std::uint64_t>(a.y.columns());
  const auto skip = static_cast<std::int64_t>(first % kNumbersPerBlock);
  const std::int64_t blocks = a.y.empty() ? 0 : (skip + a.y.size() + kNumbersPerBlock - 1) / kNumbersPerBlock;
  with_stored_type(a.x.dtype, [&]<class T>() {
    const View<const T> x = a.x.as<T>();
    const View<T> y = a.y.as<T>();
    const auto aligned = [&](const T* data) {
      const auto start = reinterpret_cast<std::uintptr_t>(data) - static_cast<std::uintptr_t>(skip) * sizeof(T);
      return start % (kNumbersPerBlock * sizeof(T)) == 0;
    };
    launch(dropout_kernel<T>, grid_for(blocks, kThreads), kThreads, 0, stream.cuda(), x, y, a.key, first, a.rate,
           dropout_factor(a.rate), x.contiguous() && y.contiguous() && aligned(x.data) && aligned(y.data));
  });
}

}  // namespace otnfm::cuda
