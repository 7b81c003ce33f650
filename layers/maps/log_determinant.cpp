#include "layers/maps/log_determinant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/copy.h"
#include "kernels/elementwise.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "layers/maps/inverse.h"

namespace otnfm {
namespace {

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

/// The standard error of the mean of `values`.
double standard_error_of(const std::vector<double>& values) {
  const double mean = mean_of(values), n = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / (n * (n - 1)));
}

void require_finite(double value, std::int64_t row) {
  if (!std::isfinite(value))
    throw RunError(fmt::format("log-determinant: row {} has log|det J| = {}: there the map is singular or not finite",
                               row, value));
}

constexpr double kLeastContinuation = 0.5, kMostContinuation = 0.98;

}  // namespace

// A tape a block: w <- w^T R by one vector-Jacobian product, v^T w and ||w||^2 of each row. The forward pass is made
// again for each term: keeping it would take a tape of as many products as the roulette ever draws.
class LogDeterminant::Estimator {
 public:
  Estimator(Flow& flow, Device device, std::int64_t batch, const LogDeterminantOptions& options)
      : options_(options), batch_(device, batch, flow.dimension()) {
    const std::int64_t d = flow.dimension(), n = batch * d;
    memory_ = Memory(device, static_cast<std::size_t>(3 * n + 2 * batch) * sizeof(float), "probes");
    auto* data = reinterpret_cast<float*>(memory_.data());
    const auto take = [&](std::int64_t count) { return std::exchange(data, data + count); };
    probe_ = View<float>(take(n), {batch, d});
    power_ = View<float>(take(n), {batch, d});
    image_ = View<float>(take(n), {batch, d});
    product_ = View<float>(take(batch), {batch});
    square_ = View<float>(take(batch), {batch});
    Stream stream(device);
    zero_bytes(stream, memory_.data(), memory_.bytes());
    stream.synchronize();
    for (std::int64_t k = 0; k < flow.block_count(); ++k) record(flow, device, k);
    signs_.resize(static_cast<std::size_t>(n));
    products_.resize(static_cast<std::size_t>(batch));
    squares_.resize(static_cast<std::size_t>(batch));
  }

  LogDeterminants operator()(Stream& stream, View<const float> t, View<const float> x) {
    const std::int64_t n = x.rows();
    const auto probes = static_cast<std::size_t>(options_.probes);
    LogDeterminants result;
    double variance = 0;
    for (std::int64_t begin = 0; begin < n; begin += batch_.rows()) {
      const std::int64_t count = std::min(batch_.rows(), n - begin);
      batch_.upload(stream, t, x, begin, count);
      // Row i's estimates, one a probe, summed over blocks.
      std::vector<std::vector<double>> estimates(static_cast<std::size_t>(count), std::vector<double>(probes, 0.0));
      for (std::size_t block = 0; block < tapes_.size(); ++block) {
        for (std::size_t probe = 0; probe < probes; ++probe) add_series(stream, begin, count, block, probe, estimates);
        copy_rows(stream, batch_.x, image_, batch_.rows());
      }
      std::vector<double> batch_means(probes, 0.0);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::vector<double>& row = estimates[static_cast<std::size_t>(i)];
        result.values.push_back(mean_of(row));
        result.standard_errors.push_back(standard_error_of(row));
        require_finite(result.values.back(), begin + i);
        for (std::size_t probe = 0; probe < probes; ++probe)
          batch_means[probe] += row[probe] / static_cast<double>(count);
      }
      variance += std::pow(standard_error_of(batch_means) * static_cast<double>(count) / static_cast<double>(n), 2);
    }
    result.mean = mean_of(result.values);
    result.mean_standard_error = std::sqrt(variance);
    return result;
  }

 private:
  void record(Flow& flow, Device device, std::int64_t k) {
    auto tape = std::make_unique<Tape>(device, Tape::Options{.training = true, .frozen = true});
    const Tensor x = tape->external(batch_.x);
    tape->want_gradient(x);
    const Tensor y = flow.forward_block(*tape, k, tape->external(batch_.t), x);
    tape->record(copy, Copy{.x = y.view(), .y = image_});
    tape->backward_from(y, tape->external(power_));
    // w^T (1 + R) - w^T
    tape->record(axpby, Axpby{.x = tape->gradient(x).view(), .y = power_, .alpha = 1, .beta = -1});
    const Tensor products = multiply(*tape, tape->external(power_), tape->external(probe_));
    tape->record(reduce_rows, ReduceRows{.x = products.view(), .y = product_, .reduction = Reduction::sum});
    tape->record(reduce_rows, ReduceRows{.x = power_, .y = square_, .reduction = Reduction::sum_of_squares});
    tape->plan();
    tapes_.push_back(std::move(tape));
  }

  // The numbers of a batch, block and probe are drawn under a stream of their own, and so do not depend on how often
  // the roulettes before them went on.
  std::uint32_t stream_of(std::size_t block, std::size_t probe) const {
    return static_cast<std::uint32_t>(block * static_cast<std::size_t>(options_.probes) + probe);
  }

  void add_series(Stream& stream, std::int64_t first_row, std::int64_t count, std::size_t block, std::size_t probe,
                  std::vector<std::vector<double>>& estimates) {
    const std::int64_t d = probe_.columns();
    const View<float> signs(signs_.data(), {batch_.rows(), d});
    Stream host(Device::cpu);
    uniform(host,
            {.y = signs, .key = {.seed = options_.seed, .stream = stream_of(block, probe), .first_row = first_row}});
    for (float& value : signs_) value = value < 0.5f ? -1.0f : 1.0f;
    copy_rows(stream, probe_, signs, batch_.rows());
    copy_rows(stream, power_, signs, batch_.rows());
    std::seed_seq seeds{static_cast<std::uint32_t>(options_.seed), static_cast<std::uint32_t>(options_.seed >> 32),
                        stream_of(block, probe), static_cast<std::uint32_t>(first_row)};
    std::mt19937_64 roulette(seeds);
    double weight = 1, before = static_cast<double>(count * d);
    for (int k = 1;; ++k) {
      tapes_[block]->run(stream);
      copy_bytes(stream, products_.data(), product_.data, products_.size() * sizeof(float));
      copy_bytes(stream, squares_.data(), square_.data, squares_.size() * sizeof(float));
      stream.synchronize();
      double now = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        const auto row = static_cast<std::size_t>(i);
        estimates[row][probe] += (k % 2 == 1 ? 1.0 : -1.0) / k * weight * static_cast<double>(products_[row]);
        now += static_cast<double>(squares_[row]);
      }
      // The series also ends where the numbers are not finite, which the caller notices.
      const double least = 1e-20 * static_cast<double>(count * d);
      if (!(now > least) || !std::isfinite(now)) return;
      if (k >= options_.exact_terms) {
        const double continuation = std::clamp(std::sqrt(now / before), kLeastContinuation, kMostContinuation);
        if (!(std::generate_canonical<double, 53>(roulette) < continuation)) return;
        weight /= continuation;
      }
      before = now;
    }
  }

  LogDeterminantOptions options_;
  FlowBatch batch_;
  Memory memory_;
  View<float> probe_, power_, image_, product_, square_;
  std::vector<std::unique_ptr<Tape>> tapes_;
  std::vector<float> signs_, products_, squares_;
};

LogDeterminant::LogDeterminant(Flow& flow, Device device, std::int64_t batch, const LogDeterminantOptions& options)
    : dimension_(flow.dimension()), coordinates_(flow.coordinates), stream_(device), batch_(device, batch, dimension_) {
  if (options.probes < 2 || options.exact_terms < 1)
    throw InputError(fmt::format("log-determinant: {} probes and {} exact terms, wanted at least 2 and 1",
                                 options.probes, options.exact_terms));
  if (flow.inversion() == Inversion::closed_form) {
    tape_ = std::make_unique<Tape>(device, Tape::Options{.training = false});
    const Tensor t = tape_->external(batch_.t);
    Tensor x = tape_->external(batch_.x);
    for (std::int64_t k = 0; k < flow.block_count(); ++k) {
      const BlockWithLogDet block = flow.forward_block_with_log_det(*tape_, k, t, x);
      log_det_ = k == 0 ? block.log_det : add(*tape_, log_det_, block.log_det);
      x = block.y;
    }
    tape_->keep(log_det_);
    tape_->plan();
  } else if (dimension_ <= options.max_exact_dimension) {
    for (std::int64_t k = 0; k < flow.block_count(); ++k)
      jacobians_.push_back(std::make_unique<Jacobian>(flow, device, k, batch));
  } else {
    if (flow.inversion() == Inversion::none)
      throw InputError(
          fmt::format("log-determinant: d = {} is above {}, up to where it is computed exactly, and the "
                      "power series needs a family that contracts",
                      dimension_, options.max_exact_dimension));
    estimator_ = std::make_unique<Estimator>(flow, device, batch, options);
  }
}

LogDeterminant::~LogDeterminant() = default;

LogDeterminants LogDeterminant::operator()(View<const float> t, View<const float> x) {
  require_flow_rows("LogDeterminant", dimension_, t, x,
                    View<float>(const_cast<float*>(x.data), {x.rows(), x.columns()}));
  std::vector<float> memory;
  LogDeterminants result = standardised(t, entered(coordinates_, x, memory));
  if (coordinates_.identity()) return result;
  for (std::size_t i = 0; i < result.values.size(); ++i)
    result.values[i] += coordinates_.log_volume(t(static_cast<std::int64_t>(i), 0), dimension_);
  result.mean = mean_of(result.values);
  return result;
}

LogDeterminants LogDeterminant::standardised(View<const float> t, View<const float> x) {
  require_flow_rows("LogDeterminant", dimension_, t, x,
                    View<float>(const_cast<float*>(x.data), {x.rows(), x.columns()}));
  LogDeterminants result = tape_        ? in_closed_form(t, x)
                           : estimator_ ? (*estimator_)(stream_, t, x)
                                        : by_jacobians(t, x);
  if (estimator_) return result;
  for (std::size_t i = 0; i < result.values.size(); ++i) require_finite(result.values[i], static_cast<std::int64_t>(i));
  result.standard_errors.assign(result.values.size(), 0.0);
  result.mean = mean_of(result.values);
  return result;
}

LogDeterminants LogDeterminant::in_closed_form(View<const float> t, View<const float> x) {
  LogDeterminants result;
  std::vector<float> values(static_cast<std::size_t>(batch_.rows()));
  for (std::int64_t begin = 0; begin < x.rows(); begin += batch_.rows()) {
    const std::int64_t count = std::min(batch_.rows(), x.rows() - begin);
    batch_.upload(stream_, t, x, begin, count);
    tape_->run(stream_);
    copy_bytes(stream_, values.data(), tape_->view(log_det_).data, static_cast<std::size_t>(count) * sizeof(float));
    stream_.synchronize();
    result.values.insert(result.values.end(), values.begin(), values.begin() + count);
  }
  return result;
}

LogDeterminants LogDeterminant::by_jacobians(View<const float> t, View<const float> x) {
  // A part at a time: all Jacobians of a large n would be d times as much memory as x.
  constexpr std::int64_t kPart = 1024;
  const std::int64_t d = dimension_;
  LogDeterminants result;
  std::vector<float> points(static_cast<std::size_t>(kPart * d)), matrices(static_cast<std::size_t>(kPart * d * d));
  for (std::int64_t begin = 0; begin < x.rows(); begin += kPart) {
    const std::int64_t count = std::min(kPart, x.rows() - begin);
    const View<float> at(points.data(), {count, d}), all(matrices.data(), {count, d, d});
    std::copy_n(x.row(begin), count * d, points.data());
    std::vector<double> sums(static_cast<std::size_t>(count), 0.0);
    for (const std::unique_ptr<Jacobian>& jacobian : jacobians_) {
      (*jacobian)(t.row_slice(begin, count), at, at, all);
      for (std::int64_t i = 0; i < count; ++i)
        sums[static_cast<std::size_t>(i)] += log_abs_determinant({all.data + i * d * d, {d, d}});
    }
    result.values.insert(result.values.end(), sums.begin(), sums.end());
  }
  return result;
}

}  // namespace otnfm
