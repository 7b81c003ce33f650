#include "ot/entropic/device_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "kernels/matmul.h"
#include "ot/costs/cost_rows.h"
#include "ot/entropic/sinkhorn_setup.h"

namespace otnfm {
namespace {

// Up to this dimension differences of coordinates cost about what a product does beside the exponential, and lose
// nothing to cancellation.
constexpr std::int64_t kDirectDimension = 8;
constexpr double kFixedSteps = 65535;

void reserve(Stream& stream, Memory& memory, std::size_t bytes, const char* purpose) {
  if (memory.bytes() >= bytes) return;
  memory = Memory();  // the old one goes first
  memory = Memory(stream.device(), bytes, purpose);
}

double coordinate(const AnyMatrix& points, std::int64_t i, std::int64_t k) {
  const std::int64_t at = i * points.row_stride + k;
  switch (points.dtype) {
    case DType::float32:
      return static_cast<double>(static_cast<const float*>(points.data)[at]);
    case DType::bfloat16:
      return static_cast<double>(static_cast<float>(static_cast<const bfloat16*>(points.data)[at]));
    default:
      return static_cast<const double*>(points.data)[at];
  }
}

}  // namespace

void DevicePlan::reset(const Problem& problem, double epsilon, SinkhornRegime regime, const SolveLimits* limits) {
  regime_ = regime;
  n_ = problem.n();
  m_ = problem.m();
  d_ = problem.dimension();
  unit_ = 1;
  rounding_ = 0;
  form_ = PairForm::product;
  const bool square = problem.cost == Cost::squared_euclidean;
  const bool direct = problem.cost == Cost::euclidean || (square && d_ <= kDirectDimension);
  if (regime == SinkhornRegime::resident || (regime == SinkhornRegime::streaming && direct))
    return direct_points(problem, epsilon);
  host_.reset(problem, epsilon, 0, limits);
  alpha_.assign(host_.alpha().begin(), host_.alpha().end());
  beta_.assign(host_.beta().begin(), host_.beta().end());
  if (regime == SinkhornRegime::stored_16) return store_fixed(limits);
  if (host_.is_product()) upload_points(host_.centred_source(), host_.centred_target(), d_);
  if (regime == SinkhornRegime::stored) store(limits);
}

void DevicePlan::upload_points(std::span<const float> source, std::span<const float> target, std::int64_t d) {
  reserve(stream_, source_, source.size_bytes(), "Sinkhorn's source points");
  reserve(stream_, target_, target.size_bytes(), "Sinkhorn's target points");
  copy_bytes(stream_, source_.data(), source.data(), source.size_bytes());
  copy_bytes(stream_, target_.data(), target.data(), target.size_bytes());
  stream_.synchronize();  // the host's copies may go
  d_ = d;
}

// Centred on the target's mean, scaled so that K = -|x - y|^2, or -|x - y|.
void DevicePlan::direct_points(const Problem& problem, double epsilon) {
  const bool square = problem.cost == Cost::squared_euclidean;
  form_ = square ? PairForm::negative_square : PairForm::negative_distance;
  const double scale = square ? std::sqrt(kLog2E / epsilon) : kLog2E / epsilon;
  HostVector<double> mean(static_cast<std::size_t>(d_), 0.0);
  for (std::int64_t j = 0; j < m_; ++j)
    for (std::int64_t k = 0; k < d_; ++k)
      mean[static_cast<std::size_t>(k)] += coordinate(problem.target, j, k) / static_cast<double>(m_);
  const auto scaled = [&](const AnyMatrix& points) {
    HostVector<float> out(static_cast<std::size_t>(points.rows * d_));
    for (std::int64_t i = 0; i < points.rows; ++i)
      for (std::int64_t k = 0; k < d_; ++k)
        out[static_cast<std::size_t>(i * d_ + k)] =
            static_cast<float>((coordinate(points, i, k) - mean[static_cast<std::size_t>(k)]) * scale);
    return out;
  };
  upload_points(scaled(problem.source), scaled(problem.target), d_);
  alpha_.assign(static_cast<std::size_t>(n_), 0.0);
  beta_.assign(static_cast<std::size_t>(m_), 0.0);
}

void DevicePlan::store(const SolveLimits* limits) {
  reserve(stream_, exponents_, static_cast<std::size_t>(n_ * m_) * sizeof(float), "Sinkhorn's exponents");
  if (host_.is_product()) {
    matmul(stream_, {.a = x(), .b = y(), .c = View<float>(device_floats(), {n_, m_}), .transpose_b = true});
    return;
  }
  host_.for_blocks(
      1,
      [&](std::int64_t first, std::int64_t count, const float* k) {
        for (std::int64_t i = 0; i < count; ++i)
          copy_bytes(stream_, device_floats() + (first + i) * m_, k + i * host_.stride(),
                     static_cast<std::size_t>(m_) * sizeof(float));
        stream_.synchronize();  // the block is filled anew
      },
      limits);
}

// K = highest - step q, q in 0 .. 65535; the highest goes into alpha.
void DevicePlan::store_fixed(const SolveLimits* limits) {
  float lowest = std::numeric_limits<float>::infinity(), highest = -lowest;
  const auto each_row = [&](const auto& body) {
    host_.for_blocks(
        1,
        [&](std::int64_t first, std::int64_t count, const float* k) {
          for (std::int64_t i = 0; i < count; ++i) body(first + i, k + i * host_.stride());
        },
        limits);
  };
  each_row([&](std::int64_t, const float* k) {
    const auto [low, high] = std::minmax_element(k, k + m_);
    lowest = std::min(lowest, *low);
    highest = std::max(highest, *high);
  });
  const double step = std::max((static_cast<double>(highest) - static_cast<double>(lowest)) / kFixedSteps,
                               std::numeric_limits<double>::min());
  unit_ = -step;
  rounding_ = 0.5 * step * kLog2;
  reserve(stream_, exponents_, static_cast<std::size_t>(n_ * m_) * sizeof(std::uint16_t), "Sinkhorn's exponents");
  HostVector<std::uint16_t> row(static_cast<std::size_t>(m_));
  each_row([&](std::int64_t i, const float* k) {
    for (std::int64_t j = 0; j < m_; ++j)
      row[static_cast<std::size_t>(j)] = static_cast<std::uint16_t>(
          std::min(kFixedSteps, std::nearbyint((static_cast<double>(highest) - static_cast<double>(k[j])) / step)));
    copy_bytes(stream_, exponents_.data() + static_cast<std::size_t>(i * m_) * sizeof(std::uint16_t), row.data(),
               row.size() * sizeof(std::uint16_t));
    stream_.synchronize();
  });
  const double shift = static_cast<double>(highest) * host_.epsilon() / kLog2E;
  for (double& alpha : alpha_) alpha -= shift;
}

void DevicePlan::transform(bool columns, double ratio, const SoftSource& source, const SoftTarget& target) {
  const auto scale = static_cast<float>(unit_ * ratio);
  if (regime_ == SinkhornRegime::streaming || regime_ == SinkhornRegime::resident) {
    soft_transform_points(stream_, {.x = columns ? y() : x(),
                                    .y = columns ? x() : y(),
                                    .form = form_,
                                    .scale = scale,
                                    .source = source,
                                    .target = target});
  } else if (regime_ == SinkhornRegime::stored) {
    soft_transform_stored(stream_, {.s = View<const float>(device_floats(), {n_, m_}),
                                    .transposed = columns,
                                    .scale = scale,
                                    .source = source,
                                    .target = target});
  } else {
    soft_transform_fixed(
        stream_, {.s = View<const std::uint16_t>(reinterpret_cast<const std::uint16_t*>(exponents_.data()), {n_, m_}),
                  .transposed = columns,
                  .scale = scale,
                  .source = source,
                  .target = target});
  }
}

}  // namespace otnfm
