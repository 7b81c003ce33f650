#include "ot/entropic/sinkhorn_pass.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/loops/loops.h"

namespace otnfm {
namespace {

// Sums within these bounds have lost nothing that counts to the limits of float32.
constexpr double kLeastSum = 1e-18, kMostSum = 1e10;
constexpr std::int64_t kExponentialGrain = 4 * host::kElementGrain;  // some 20 us of a thread
constexpr std::int64_t kChunkRows = 64, kMostChunks = 64;

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

// Sixteen products, folded by halves.
float mass_of_block(const float* e, const float* weight) {
  float part[kFloatBlock];
  for (int lane = 0; lane < kFloatBlock; ++lane) part[lane] = e[lane] * weight[lane];
  for (int width = kFloatBlock / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) part[lane] += part[lane + width];
  return part[0];
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
  const Loops& by = loops();
  const auto block = [&](std::int64_t first, std::int64_t count, const float* k) {
    const std::int64_t first_chunk = first / chunk_rows, chunks = (count + chunk_rows - 1) / chunk_rows;
    const std::int64_t grain = std::max<std::int64_t>(1, kExponentialGrain / (chunk_rows * stride));
    host::parallel_ranges(chunks, grain, [&](std::int64_t begin, std::int64_t end) {
      HostVector<float> e(static_cast<std::size_t>(kHeight * stride));
      std::int64_t unchecked = 0;
      for (std::int64_t chunk = begin; chunk < end; ++chunk)
        for (std::int64_t i = chunk * chunk_rows; i < std::min(count, (chunk + 1) * chunk_rows); i += kHeight) {
          const int height = static_cast<int>(std::min<std::int64_t>(kHeight, count - i));
          shared.check(height * stride, unchecked);
          Row group[kHeight];
          for (int r = 0; r < height; ++r) {
            const float* row = k + (i + r) * stride;
            auto rounded = static_cast<float>(u[static_cast<std::size_t>(first + i + r)]);
            const auto sum_row = [&] {
              return by.exponentials(row, stride, v_.data(), weight_.data(), rounded, scale, e.data() + r * stride);
            };
            double sum = sum_row();
            if (!in_range(sum)) {
              rounded = -by.highest_exponent(row, stride, v_.data(), weight_.data(), scale);
              sum = sum_row();
            }
            group[r] = {row, static_cast<double>(rounded), sum};
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
             loops().add_rows(e, stride, count, scale, partial_.data() + chunk * stride);
           });

  const std::int64_t m = exponents.columns();
  std::atomic<bool> all_in_range{true};
  host::parallel_rows(m, chunks, [&](std::int64_t begin, std::int64_t end) {
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
    host::parallel_ranges((count + chunk_rows - 1) / chunk_rows, 1, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t unchecked = 0;
      for (std::int64_t i = begin * chunk_rows; i < std::min(count, end * chunk_rows); ++i) {
        const auto row = static_cast<std::size_t>(first + i);
        shared.check(stride, unchecked);
        if (a_[row] == 0) continue;
        float* sums = partial_.data() + (first + i) / chunk_rows * stride;
        float* highest = highest_.data() + (first + i) / chunk_rows * stride;
        const auto shift = static_cast<float>(u[row]);
        const auto factor = static_cast<float>(a_[row] * std::exp2(u[row] - static_cast<double>(shift)));
        loops().add_stably(k + i * stride, stride, v_.data(), shift, scale, factor, sums, highest);
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
               float largest = 0;
               const double exponent = loops().plan_row(row, weight_.data(), group[r].k, stride, &largest);
               std::int64_t j = 0;
               while (j + 1 < exponents.columns() && row[j] * weight_[static_cast<std::size_t>(j)] != largest) ++j;
               plan.argmax[i] = j;
               plan.row_sums[i] = factor * group[r].sum;
               plan.row_exponents[i] = factor * exponent;
               const auto scale = static_cast<float>(factor);
               loops().add_rows(row, stride, 1, &scale, partial_.data() + chunk * stride);
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
               for (std::int64_t begin = 0; begin < stride && left >= 0; begin += kFloatBlock) {
                 const float sum = mass_of_block(row + begin, weight_.data() + begin);
                 if (!(sum > 0)) continue;
                 if (left >= sum) {
                   left -= sum;
                   last = begin;
                   continue;
                 }
                 for (std::int64_t j = begin; j < begin + kFloatBlock && left >= 0; ++j) {
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
