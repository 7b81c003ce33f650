// n m exponentials, and 2 n m d FLOPs from points or 4 (2) n m bytes stored. A row's exponents are made first, then
// their largest, then the sum: each a loop that vectorises. Transposed, the same over blocks of 256 targets, so that
// the matrix is read along its rows. (The CPU's own Sinkhorn, ot/entropic/sinkhorn_pass.h, takes one exponential a pair
// for both updates; these are for programs that run on either device.)
#include "kernels/soft_transform.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/lanes.h"
#include "kernels/device/log_sum.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"

namespace otnfm::cpu {
namespace {

constexpr std::int64_t kTargetBlock = 256;

float pair(PairForm form, const float* x, const float* y, std::int64_t d) {
  // In lanes whose order stands in the source: a plain loop that is not vectorised (under a sanitizer) adds up the
  // rounding of all d terms.
  if (form == PairForm::product) return sum_lanes<float>(d, [&](const auto& load) { return load(x) * load(y); });
  const float sum = sum_lanes<float>(d, [&](const auto& load) {
    const auto difference = load(x) - load(y);
    return difference * difference;
  });
  return form == PairForm::negative_square ? -sum : -std::sqrt(sum);
}

LogSum sum_row(const SoftSource& source, float scale, std::int64_t m, const float* s, float* exponents) {
  LogSum row = LogSum::none();
  for (std::int64_t j = 0; j < m; ++j) exponents[j] = exponent_of(source, j) + scale * s[j];
  float highest = LogSum::kNone;
#pragma omp simd reduction(max : highest)
  for (std::int64_t j = 0; j < m; ++j) highest = exponents[j] > highest ? exponents[j] : highest;
  row.highest = highest;
  double sum = 0, moment = 0;
#pragma omp simd reduction(+ : sum, moment)
  for (std::int64_t j = 0; j < m; ++j) {
    const double mass = static_cast<double>(source.weight.data[j] * exp2_of(exponents[j] - highest));
    sum += mass;
    moment += mass * static_cast<double>(s[j]);
  }
  row.sum = static_cast<float>(sum);
  row.moment = static_cast<float>(moment);
  return row;
}

/// fill(i, s): s_i. of row i into s [m].
template <class Fill>
void for_rows(const SoftSource& source, const SoftTarget& target, float scale, std::int64_t n, std::int64_t m,
              const Fill& fill) {
  host::parallel_rows(n, m, [&](std::int64_t begin, std::int64_t end) {
    HostVector<float> s(static_cast<std::size_t>(m)), exponents(static_cast<std::size_t>(m));
    for (std::int64_t i = begin; i < end; ++i) {
      fill(i, s.data());
      update_target(target, i, sum_row(source, scale, m, s.data(), exponents.data()));
    }
  });
}

template <class Arguments>
void transform_stored(const Arguments& a) {
  const std::int64_t rows = a.s.rows(), columns = a.s.columns();
  if (!a.transposed)
    return for_rows(a.source, a.target, a.scale, rows, columns, [&](std::int64_t i, float* s) {
      for (std::int64_t j = 0; j < columns; ++j) s[j] = static_cast<float>(a.s.row(i)[j]);
    });
  host::parallel_ranges((columns + kTargetBlock - 1) / kTargetBlock, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kTargetBlock, count = std::min(kTargetBlock, columns - first);
      float highest[kTargetBlock];
      double sum[kTargetBlock] = {}, moment[kTargetBlock] = {};
      std::fill_n(highest, kTargetBlock, LogSum::kNone);
      for (std::int64_t i = 0; i < rows; ++i) {
        const float exponent = exponent_of(a.source, i);
        const auto* s = a.s.row(i) + first;
        for (std::int64_t j = 0; j < count; ++j) {
          const float e = exponent + a.scale * static_cast<float>(s[j]);
          highest[j] = e > highest[j] ? e : highest[j];
        }
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        const float exponent = exponent_of(a.source, i), weight = a.source.weight.data[i];
        const auto* s = a.s.row(i) + first;
        for (std::int64_t j = 0; j < count; ++j) {
          const float value = static_cast<float>(s[j]);
          const double mass = static_cast<double>(weight * exp2_of(exponent + a.scale * value - highest[j]));
          sum[j] += mass;
          moment[j] += mass * static_cast<double>(value);
        }
      }
      for (std::int64_t j = 0; j < count; ++j)
        update_target(a.target, first + j,
                      LogSum{highest[j], static_cast<float>(sum[j]), static_cast<float>(moment[j])});
    }
  });
}

}  // namespace

void soft_transform_points(Stream&, const SoftTransformPoints& a) {
  const std::int64_t d = a.x.columns(), m = a.y.rows();
  for_rows(a.source, a.target, a.scale, a.x.rows(), m, [&](std::int64_t i, float* s) {
    for (std::int64_t j = 0; j < m; ++j) s[j] = pair(a.form, a.x.row(i), a.y.row(j), d);
  });
}

void soft_transform_stored(Stream&, const SoftTransformStored& a) {
  transform_stored(a);
}

void soft_transform_fixed(Stream&, const SoftTransformFixed& a) {
  transform_stored(a);
}

}  // namespace otnfm::cpu
