#include "ot/entropic/sinkhorn_pass.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/float_lanes.h"

namespace otnfm {
namespace {

// Sums within these bounds have lost nothing that counts to the limits of float32.
constexpr double kLeastSum = 1e-18, kMostSum = 1e10;
constexpr std::int64_t kExponentialGrain = 4 * cpu::kElementGrain;  // some 20 us of a thread
constexpr std::int64_t kChunkRows = 64, kMostChunks = 64;
constexpr std::int64_t kSegment = 1024;  // columns whose sum is kept in float32

bool in_range(double sum) {
  return sum >= kLeastSum && sum <= kMostSum;
}

std::int64_t chunk_rows_of(std::int64_t n) {
  const std::int64_t rows = std::max(kChunkRows, (n + kMostChunks - 1) / kMostChunks);
  return (rows + 3) / 4 * 4;
}

struct Row {
  const float* k;
  double u;    // E was computed with this
  double sum;  // of weight_j E_ij
};

// E of `height` rows, and their sums.
template <int height>
void exponentials(const float* k, std::int64_t stride, const float* v, const float* weight, const float* u, float ratio,
                  float* e, double* sums) {
  for (int r = 0; r < height; ++r) sums[r] = 0;
  for (std::int64_t begin = 0; begin < stride; begin += kSegment) {
    const std::int64_t end = std::min(stride, begin + kSegment);
    FloatLanes sum[height] = {};
    for (std::int64_t j = begin; j < end; j += kFloatLanes) {
      const FloatLanes column = load_floats(v + j), weights = load_floats(weight + j);
#pragma GCC unroll 4
      for (int r = 0; r < height; ++r) {
        const FloatLanes exponent = multiply_add(load_floats(k + r * stride + j), floats_of(ratio), column) + u[r];
        const FloatLanes value = exp2_of(exponent);
        store_floats(e + r * stride + j, value);
        sum[r] = multiply_add(value, weights, sum[r]);
      }
    }
    for (int r = 0; r < height; ++r) sums[r] += sum_of(sum[r]);
  }
}

// max_j of v_j + ratio K_ij over the columns with weight.
float highest_exponent(const float* k, std::int64_t stride, const float* v, const float* weight, float ratio) {
  FloatLanes highest = floats_of(-std::numeric_limits<float>::infinity());
  for (std::int64_t j = 0; j < stride; j += kFloatLanes) {
    const FloatLanes exponent = multiply_add(load_floats(k + j), floats_of(ratio), load_floats(v + j));
    highest = load_floats(weight + j) > FloatLanes{} ? larger_of(highest, exponent) : highest;
  }
  return maximum_of(highest);
}

template <int height>
void add_rows(const float* e, std::int64_t stride, const float* scale, float* sums) {
  for (std::int64_t j = 0; j < stride; j += kFloatLanes) {
    FloatLanes sum = load_floats(sums + j);
#pragma GCC unroll 4
    for (int r = 0; r < height; ++r) sum = multiply_add(load_floats(e + r * stride + j), floats_of(scale[r]), sum);
    store_floats(sums + j, sum);
  }
}

}  // namespace

void SinkhornPass::reset(std::span<const double> a, std::span<const double> b) {
  a_.assign(a.begin(), a.end());
  b_.assign(b.begin(), b.end());
}

void SinkhornPass::round_columns(std::span<const double> v, std::int64_t stride) {
  v_.assign(static_cast<std::size_t>(stride), 0.0f);
  weight_.assign(static_cast<std::size_t>(stride), 0.0f);
  for (std::size_t j = 0; j < v.size(); ++j) {
    v_[j] = static_cast<float>(v[j]);
    weight_[j] = static_cast<float>(b_[j] * std::exp2(v[j] - static_cast<double>(v_[j])));
  }
}

// rows(chunk, first, count, E, Row[count]) for groups of up to 4 rows, chunks in parallel.
template <class Rows>
void SinkhornPass::for_rows(GibbsExponents& exponents, double ratio, std::span<const double> u,
                            const SolveLimits* limits, const Rows& rows) {
  const std::int64_t stride = exponents.stride(), n = exponents.rows(), chunk_rows = chunk_rows_of(n);
  const auto scale = static_cast<float>(ratio);
  SharedLimits shared(limits);
  const auto block = [&](std::int64_t first, std::int64_t count, const float* k) {
    const std::int64_t first_chunk = first / chunk_rows, chunks = (count + chunk_rows - 1) / chunk_rows;
    const std::int64_t grain = std::max<std::int64_t>(1, kExponentialGrain / (chunk_rows * stride));
    cpu::parallel_ranges(chunks, grain, [&](std::int64_t begin, std::int64_t end) {
      HostVector<float> e(static_cast<std::size_t>(kHeight * stride));
      std::int64_t unchecked = 0;
      for (std::int64_t chunk = begin; chunk < end; ++chunk)
        for (std::int64_t i = chunk * chunk_rows; i < std::min(count, (chunk + 1) * chunk_rows); i += kHeight) {
          const int height = static_cast<int>(std::min<std::int64_t>(kHeight, count - i));
          shared.check(height * stride, unchecked);
          float rounded[kHeight];
          double sums[kHeight];
          Row group[kHeight];
          for (int r = 0; r < height; ++r) rounded[r] = static_cast<float>(u[static_cast<std::size_t>(first + i + r)]);
          if (height == kHeight)
            exponentials<kHeight>(k + i * stride, stride, v_.data(), weight_.data(), rounded, scale, e.data(), sums);
          else
            for (int r = 0; r < height; ++r)
              exponentials<1>(k + (i + r) * stride, stride, v_.data(), weight_.data(), rounded + r, scale,
                              e.data() + r * stride, sums + r);
          for (int r = 0; r < height; ++r) {
            const float* row = k + (i + r) * stride;
            if (!in_range(sums[r])) {
              rounded[r] = -highest_exponent(row, stride, v_.data(), weight_.data(), scale);
              exponentials<1>(row, stride, v_.data(), weight_.data(), rounded + r, scale, e.data() + r * stride,
                              sums + r);
            }
            group[r] = {row, static_cast<double>(rounded[r]), sums[r]};
          }
          rows(first_chunk + chunk, first + i, height, e.data(), group);
        }
    });
  };
  exponents.for_blocks(chunk_rows, block, limits);
}

void SinkhornPass::run(GibbsExponents& exponents, const Update& update, std::span<double> u, std::span<const double> v,
                       std::span<double> log_sums, const SolveLimits* limits) {
  const std::int64_t stride = exponents.stride(), n = exponents.rows(), chunk_rows = chunk_rows_of(n);
  const std::int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
  round_columns(v, stride);
  partial_.assign(static_cast<std::size_t>(chunks * stride), 0.0f);
  for_rows(exponents, update.ratio, u, limits,
           [&](std::int64_t chunk, std::int64_t first, int count, const float* e, const Row* group) {
             float scale[kHeight];
             for (int r = 0; r < count; ++r) {
               const auto i = static_cast<std::size_t>(first + r);
               u[i] = group[r].u - std::log2(group[r].sum);
               if (update.damping < 1) u[i] = update.damping * (u[i] + update.offset[i]) - update.offset[i];
               scale[r] = static_cast<float>(a_[i] * std::exp2(u[i] - group[r].u));
             }
             float* sums = partial_.data() + chunk * stride;
             if (count == kHeight)
               add_rows<kHeight>(e, stride, scale, sums);
             else
               for (int r = 0; r < count; ++r) add_rows<1>(e + r * stride, stride, scale + r, sums);
           });

  const std::int64_t m = exponents.columns();
  std::atomic<bool> all_in_range{true};
  cpu::parallel_rows(m, chunks, [&](std::int64_t begin, std::int64_t end) {
    bool good = true;
    for (std::int64_t j = begin; j < end; ++j) {
      double sum = 0;
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
        sum += partial_[static_cast<std::size_t>(chunk * stride + j)];
      good = good && in_range(sum);
      log_sums[static_cast<std::size_t>(j)] = std::log2(sum);
    }
    if (!good) all_in_range.store(false, std::memory_order_relaxed);
  });
  if (!all_in_range) sum_columns_stably(exponents, update.ratio, u, log_sums, limits);
}

// log2 c_j by sums relative to the largest term so far: two exponentials a pair, no bound on the exponents.
void SinkhornPass::sum_columns_stably(GibbsExponents& exponents, double ratio, std::span<const double> u,
                                      std::span<double> log_sums, const SolveLimits* limits) {
  const std::int64_t stride = exponents.stride(), n = exponents.rows(), chunk_rows = chunk_rows_of(n);
  const std::int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
  constexpr float kLowest = -std::numeric_limits<float>::max();
  partial_.assign(static_cast<std::size_t>(chunks * stride), 0.0f);
  highest_.assign(static_cast<std::size_t>(chunks * stride), kLowest);
  const auto scale = static_cast<float>(ratio);
  SharedLimits shared(limits);
  const auto block = [&](std::int64_t first, std::int64_t count, const float* k) {
    cpu::parallel_ranges((count + chunk_rows - 1) / chunk_rows, 1, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t unchecked = 0;
      for (std::int64_t i = begin * chunk_rows; i < std::min(count, end * chunk_rows); ++i) {
        const auto row = static_cast<std::size_t>(first + i);
        shared.check(stride, unchecked);
        if (a_[row] == 0) continue;
        float* sums = partial_.data() + (first + i) / chunk_rows * stride;
        float* highest = highest_.data() + (first + i) / chunk_rows * stride;
        const auto shift = static_cast<float>(u[row]);
        const auto factor = static_cast<float>(a_[row] * std::exp2(u[row] - static_cast<double>(shift)));
        for (std::int64_t j = 0; j < stride; j += kFloatLanes) {
          const FloatLanes exponent =
              multiply_add(load_floats(k + i * stride + j), floats_of(scale), load_floats(v_.data() + j)) + shift;
          const FloatLanes before = load_floats(highest + j), now = larger_of(before, exponent);
          const FloatLanes sum = load_floats(sums + j) * exp2_of(before - now);
          store_floats(highest + j, now);
          store_floats(sums + j, multiply_add(exp2_of(exponent - now), floats_of(factor), sum));
        }
      }
    });
  };
  exponents.for_blocks(chunk_rows, block, limits);
  for (std::size_t j = 0; j < log_sums.size(); ++j) {
    double highest = static_cast<double>(kLowest), sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
      highest = std::max(highest, static_cast<double>(highest_[static_cast<std::size_t>(chunk * stride) + j]));
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const std::size_t at = static_cast<std::size_t>(chunk * stride) + j;
      sum += static_cast<double>(partial_[at]) * std::exp2(static_cast<double>(highest_[at]) - highest);
    }
    log_sums[j] = highest + std::log2(sum);
  }
}

void SinkhornPass::read_plan(GibbsExponents& exponents, double ratio, std::span<const double> u,
                             std::span<const double> v, const Plan& plan, const SolveLimits* limits) {
  const std::int64_t stride = exponents.stride(), n = exponents.rows(), chunk_rows = chunk_rows_of(n);
  const std::int64_t chunks = (n + chunk_rows - 1) / chunk_rows;
  round_columns(v, stride);
  partial_.assign(static_cast<std::size_t>(chunks * stride), 0.0f);
  for_rows(exponents, ratio, u, limits,
           [&](std::int64_t chunk, std::int64_t first, int count, const float* e, const Row* group) {
             for (int r = 0; r < count; ++r) {
               const auto i = static_cast<std::size_t>(first + r);
               const float* row = e + r * stride;
               const double factor = a_[i] * std::exp2(u[i] - group[r].u);
               double exponent = 0;
               FloatLanes most = floats_of(-1.0f);
               for (std::int64_t begin = 0; begin < stride; begin += kSegment) {
                 FloatLanes sum = {};
                 for (std::int64_t j = begin; j < std::min(stride, begin + kSegment); j += kFloatLanes) {
                   const FloatLanes mass = load_floats(row + j) * load_floats(weight_.data() + j);
                   most = larger_of(most, mass);
                   sum = multiply_add(mass, load_floats(group[r].k + j), sum);
                 }
                 exponent += sum_of(sum);
               }
               const float largest = maximum_of(most);
               std::int64_t j = 0;
               while (j + 1 < exponents.columns() && row[j] * weight_[static_cast<std::size_t>(j)] != largest) ++j;
               plan.argmax[i] = j;
               plan.row_sums[i] = factor * group[r].sum;
               plan.row_exponents[i] = factor * exponent;
               const auto scale = static_cast<float>(factor);
               add_rows<1>(row, stride, &scale, partial_.data() + chunk * stride);
             }
           });
  for (std::size_t j = 0; j < v.size(); ++j) {
    double sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial_[static_cast<std::size_t>(chunk * stride) + j];
    plan.column_sums[j] = sum * static_cast<double>(weight_[j]);
  }
}

void SinkhornPass::sample(GibbsExponents& exponents, double ratio, std::span<const double> u, std::span<const double> v,
                          std::span<const float> uniform, std::span<std::int64_t> column, const SolveLimits* limits) {
  const std::int64_t stride = exponents.stride();
  round_columns(v, stride);
  for_rows(exponents, ratio, u, limits,
           [&](std::int64_t, std::int64_t first, int count, const float* e, const Row* group) {
             for (int r = 0; r < count; ++r) {
               const auto i = static_cast<std::size_t>(first + r);
               const float* row = e + r * stride;
               double left = static_cast<double>(uniform[i]) * group[r].sum;
               // By vectors to the one that holds the point, then by columns. Rounding may carry it past the end: the
               // last column with mass it is then.
               std::int64_t last = 0;
               for (std::int64_t begin = 0; begin < stride && left >= 0; begin += kFloatLanes) {
                 const float sum = sum_of(load_floats(row + begin) * load_floats(weight_.data() + begin));
                 if (!(sum > 0)) continue;
                 if (left >= sum) {
                   left -= sum;
                   last = begin;
                   continue;
                 }
                 for (std::int64_t j = begin; j < begin + kFloatLanes && left >= 0; ++j) {
                   const float mass = row[j] * weight_[static_cast<std::size_t>(j)];
                   if (!(mass > 0)) continue;
                   last = j;
                   left -= mass;
                 }
                 left = -1;
               }
               while (!(row[last] * weight_[static_cast<std::size_t>(last)] > 0) && last + 1 < stride) ++last;
               column[i] = last;
             }
           });
}

}  // namespace otnfm
