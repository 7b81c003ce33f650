// Fresh noise at every step, each paired with the datum that semidiscrete optimal transport (ot/semidiscrete.h) sends
// it to: argmin_j |x0 - x1_j|^2 - g_j. The potentials g are fitted once, before the first step; then x1 is a function
// of x0 for all noise, not only for that of a bank. The target is a finite set, whole, or a bank of an endless one.
//
// The step's pairs are ops of the tape, so on CUDA nothing passes through the host. `axes` > 0 takes the cost on the
// span of so many principal axes of the data: for images the fit and each step's search (2 B N d FLOPs) are then many
// times cheaper, and the pairs hardly differ. In few dimensions the points stand in spatial order, which lets the CPU's
// search pass over most of them (kernels/cpu/biased_argmin.cpp).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "engine/couplings/bank.h"
#include "engine/couplings/couplings.h"
#include "engine/data/gaussian_fit.h"
#include "engine/data/random_streams.h"
#include "engine/data/record_draw.h"
#include "kernels/biased_argmin.h"
#include "kernels/gather.h"
#include "kernels/matmul.h"
#include "ot/costs/spatial_order.h"
#include "ot/semidiscrete.h"

namespace otnfm {
namespace {

struct SemidiscreteCouplingOptions : BankOptions {
  std::int64_t axes = 0;
};

constexpr OptionField<SemidiscreteCouplingOptions> kSemidiscreteOptions[] = {
    bank_field<SemidiscreteCouplingOptions>(kBankOfEndlessData),
    {.key = "axes",
     .member = &SemidiscreteCouplingOptions::axes,
     .help = "principal axes of the data that its cost is taken on; 0: all",
     .range = {0, 1 << 20},
     .many = 64.0}};

class SemidiscreteCoupling : public Coupling {
 public:
  SemidiscreteCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : source_(source), target_(target), options_(options), d_(target.dimension()) {
    const auto own = options_from(kSemidiscreteOptions, options.own, "the semidiscrete coupling");
    N_ = target.endless() ? own.bank : target.count();
    cost_dimension_ = own.axes > 0 && own.axes < d_ ? own.axes : d_;
    if (!target.endless() && cost_dimension_ < d_) return;  // the data stay where they are
    data_.resize(static_cast<std::size_t>(N_ * d_));
    if (target.endless())
      target.draw({.seed = options.seed, .stream = kTargetBankStream}, matrix(data_, d_));
    else
      target.copy_rows(0, matrix(data_, d_));
  }

  void prepare(const CouplingState& state) override {
    const auto start = std::chrono::steady_clock::now();
    if (state.empty()) {
      if (cost_dimension_ < d_) fit_axes();
      place();
      SemidiscreteOptions fit;
      fit.device = options_.device;
      bool stopped = false;
      if (options_.wanted)
        fit.wanted = [&] {
          stopped = stopped || !options_.wanted();
          return !stopped;
        };
      if (options_.watch)
        fit.watch = [&](const SemidiscreteProgress& at) {
          stopped = !options_.watch("fitting potentials of " + std::to_string(at.points) + " points: step " +
                                    std::to_string(at.step) + ", chi^2 " + std::to_string(at.chi_squared));
          return !stopped;
        };
      const Semidiscrete result = solve_semidiscrete(
          matrix(points_, cost_dimension_),
          [this](std::uint64_t batch, View<float> out) {
            draw({.seed = options_.seed, .stream = kPotentialStream, .step = batch}, out);
          },
          fit);
      if (stopped) throw PairingStopped();
      set_potentials(result.potentials);
    } else {
      if (cost_dimension_ < d_) set_axes(state.floats_of("mean"), state.floats_of("axes"));
      place();
      const std::vector<float>& saved = state.floats_of("potentials");
      if (static_cast<std::int64_t>(saved.size()) != N_)
        throw InputError("the saved semidiscrete coupling has " + std::to_string(saved.size()) +
                         " potentials, the data have " + std::to_string(N_) + " rows");
      for (std::size_t j = 0; j < saved.size(); ++j)
        if (!std::isfinite(saved[j]))
          throw InputError("the saved semidiscrete coupling: potential " + std::to_string(j) + " is " +
                           std::to_string(saved[j]));
      std::vector<float> ordered(saved.size());
      for (std::int64_t p = 0; p < N_; ++p) ordered[p] = saved[order_[p]];
      set_potentials(ordered);
    }
    probe();
    statistics_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Pairs record(Tape& tape, View<const std::uint64_t> step) override {
    const std::int64_t B = options_.batch;
    const Tensor x0 = record_draw(tape, source_, B, {.seed = options_.seed, .stream = kSourceStream, .step = step},
                                  kSourceDiagonalStream, held_);
    const Tensor data = data_.empty() ? Tensor() : record_constant(tape, matrix(data_, d_), held_);
    const Tensor bias = record_constant(tape, View<const float>(potentials_.data(), {1, N_}), held_);
    Tensor points = data, x = x0;
    if (cost_dimension_ < d_) {
      points = record_constant(tape, matrix(points_, cost_dimension_), held_);
      const Tensor axes = record_constant(tape, matrix(axes_, d_), held_);
      const Tensor shift = record_constant(tape, View<const float>(shift_.data(), {1, cost_dimension_}), held_);
      x = tape.make({B, cost_dimension_});
      tape.record(matmul,
                  Matmul{.a = x0.view(), .b = axes.view(), .c = x.view(), .transpose_b = true, .bias = shift.flat()});
    }
    Tensor index = tape.make({B}, DType::int64), value = tape.make({B});
    tape.record(biased_argmin, BiasedArgmin{.x = x.view(),
                                            .points = points.view(),
                                            .bias = bias.flat(),
                                            .index = index.view<std::int64_t>(),
                                            .value = value.view()});
    if (data_.empty()) return {x0, record_rows(tape, target_, index, held_)};
    const Tensor x1 = tape.make({B, d_});
    tape.record(gather_rows, GatherRows{.x = data.view(), .index = index.view<std::int64_t>(), .y = x1.view()});
    return {x0, x1};
  }

  CouplingStatistics statistics() const override { return statistics_; }

  CouplingState state() const override {
    CouplingState state;
    std::vector<float>& potentials = state.floats["potentials"];
    potentials.resize(potentials_.size());
    for (std::int64_t p = 0; p < N_; ++p) potentials[order_[p]] = potentials_[p];
    if (cost_dimension_ < d_) {
      state.floats["axes"] = axes_;
      state.floats["mean"] = mean_;
    }
    return state;
  }
  CouplingState map() const override { return state(); }

 private:
  static View<float> matrix(std::vector<float>& values, std::int64_t columns) {
    return {values.data(), {static_cast<std::int64_t>(values.size()) / columns, columns}};
  }

  /// Of the cost: the principal axes of the data.
  void fit_axes() {
    const GaussianParameters fit = fit_gaussian(
        {.rows = N_, .columns = d_, .copy = [this](std::int64_t first, View<float> out) { copy_data(first, out); }},
        {.max_full_dimension = 0, .rank = cost_dimension_});
    std::vector<float> axes = fit.factor;
    for (std::int64_t k = 0; k < cost_dimension_; ++k) {
      double square = 0;
      for (std::int64_t j = 0; j < d_; ++j) square += std::pow(static_cast<double>(axes[k * d_ + j]), 2);
      // An axis without variance is none; it adds nothing to any cost.
      const double factor = square > 0 ? 1 / std::sqrt(square) : 0;
      for (std::int64_t j = 0; j < d_; ++j) axes[k * d_ + j] = static_cast<float>(axes[k * d_ + j] * factor);
    }
    set_axes(fit.mean, axes);
  }

  void set_axes(const std::vector<float>& mean, const std::vector<float>& axes) {
    if (static_cast<std::int64_t>(mean.size()) != d_ || static_cast<std::int64_t>(axes.size()) != cost_dimension_ * d_)
      throw InputError("the saved semidiscrete coupling has " + std::to_string(axes.size()) + " numbers for " +
                       std::to_string(cost_dimension_) + " axes of " + std::to_string(d_) + " dimensions");
    mean_ = mean;
    axes_ = axes;
    shift_.assign(static_cast<std::size_t>(cost_dimension_), 0.0f);
    for (std::int64_t k = 0; k < cost_dimension_; ++k) {
      double product = 0;
      for (std::int64_t j = 0; j < d_; ++j) product += static_cast<double>(axes[k * d_ + j]) * mean[j];
      shift_[k] = static_cast<float>(-product);
    }
  }

  /// y = axes (x - mean)
  void project(View<const float> x, View<float> y) const {
    matmul(host_stream(), {.a = x,
                           .b = View<const float>(axes_.data(), {cost_dimension_, d_}),
                           .c = y,
                           .transpose_b = true,
                           .bias = View<const float>(shift_.data(), {cost_dimension_})});
  }

  /// Puts the data in order and makes the points of the cost.
  void place() {
    order_.resize(static_cast<std::size_t>(N_));
    std::iota(order_.begin(), order_.end(), 0);
    if (cost_dimension_ < d_) {
      points_.resize(static_cast<std::size_t>(N_ * cost_dimension_));
      std::vector<float> block;
      for (std::int64_t first = 0; first < N_; first += kBlockRows) {
        const std::int64_t count = std::min(kBlockRows, N_ - first);
        block.resize(static_cast<std::size_t>(count * d_));
        copy_data(first, matrix(block, d_));
        project(matrix(block, d_), matrix(points_, cost_dimension_).row_slice(first, count));
      }
      return;
    }
    if (d_ <= BiasedArgmin::kMostDirect) {
      const std::vector<double> wide(data_.begin(), data_.end());
      spatial_order(wide, d_, order_);
      const std::vector<float> rows = data_;
      for (std::int64_t p = 0; p < N_; ++p) std::copy_n(&rows[order_[p] * d_], d_, &data_[p * d_]);
    }
    points_ = data_;
  }

  /// Rows first, first + 1, ... of the data, in order. [B, d]
  void copy_data(std::int64_t first, View<float> out) const {
    if (data_.empty()) return target_.copy_rows(first, out);
    for (std::int64_t i = 0; i < out.rows(); ++i) std::copy_n(&data_[(first + i) * d_], d_, out.row(i));
  }

  void set_potentials(const std::vector<float>& potentials) { potentials_ = potentials; }

  /// Noise as the cost sees it.
  void draw(const DrawKey& key, View<float> out) {
    if (cost_dimension_ == d_) return source_.draw(key, out);
    noise_.resize(static_cast<std::size_t>(out.rows() * d_));
    source_.draw(key, matrix(noise_, d_));
    project(matrix(noise_, d_), out);
  }

  /// The mean cost, and the conditional variance: of noises that are paired twice, the second time moved by a
  /// thousandth of their standard deviation. A function of x0 has none at all; one that is not smooth at that scale,
  /// which a map cannot learn, or a pairing that is not a function of x0, has one that is seen.
  void probe() {
    constexpr std::int64_t kProbes = 2048;
    std::vector<float> x0(kProbes * d_), moved(kProbes * d_), direction(kProbes * d_);
    source_.draw({.seed = options_.seed, .stream = kProbeSourceStream}, matrix(x0, d_));
    source_.draw({.seed = options_.seed, .stream = kProbeSourceStream, .step = 1}, matrix(direction, d_));
    for (std::size_t k = 0; k < x0.size(); ++k) moved[k] = x0[k] + 1e-3f * (direction[k] - x0[k]);
    const std::vector<std::int64_t> first = pair(x0), second = pair(moved);
    double cost = 0, variance = 0;
    std::vector<float> data(static_cast<std::size_t>(2 * d_));
    for (std::int64_t i = 0; i < kProbes; ++i) {
      if (first[i] < 0 || second[i] < 0) throw RunError("the semidiscrete coupling left a noise without a datum");
      copy_data(first[i], {data.data(), {1, d_}});
      copy_data(second[i], {&data[d_], {1, d_}});
      for (std::int64_t k = 0; k < d_; ++k) {
        const double y = data[k], z = data[d_ + k];
        cost += (x0[i * d_ + k] - y) * (x0[i * d_ + k] - y);
        variance += (y - z) * (y - z);
      }
    }
    statistics_.mean_cost = cost / kProbes;
    statistics_.conditional_variance = variance / 2 / kProbes;
  }

  std::vector<std::int64_t> pair(std::vector<float>& x0) {
    std::vector<float> projected, value(x0.size() / static_cast<std::size_t>(d_));
    std::vector<std::int64_t> index(value.size());
    const std::int64_t count = static_cast<std::int64_t>(value.size());
    if (cost_dimension_ < d_) {
      projected.resize(static_cast<std::size_t>(count * cost_dimension_));
      project(matrix(x0, d_), matrix(projected, cost_dimension_));
    }
    biased_argmin(host_stream(), {.x = matrix(cost_dimension_ < d_ ? projected : x0, cost_dimension_),
                                  .points = matrix(points_, cost_dimension_),
                                  .bias = View<const float>(potentials_.data(), {N_}),
                                  .index = {index.data(), {count}},
                                  .value = {value.data(), {count}}});
    return index;
  }

  static constexpr std::int64_t kBlockRows = 2048;

  Source source_;
  Dataset target_;
  CouplingOptions options_;
  std::int64_t N_ = 0, d_, cost_dimension_ = 0;
  std::vector<float> data_, points_;        // [N, d] (empty: the target's own) and, on the axes of the cost, [N, cost
                                            // dimension]; in order
  std::vector<std::int32_t> order_;         // place p holds row order[p] of the data
  std::vector<float> potentials_;           // [N], in order
  std::vector<float> axes_, mean_, shift_;  // [cost dimension, d], [d], -axes mean; empty where the cost takes all axes
  std::vector<float> noise_;
  CouplingStatistics statistics_;
  HeldMemory held_;
};

}  // namespace

CouplingEntry semidiscrete_coupling() {
  return {.name = "semidiscrete",
          .about = "optimal transport from all noise to the data, by potentials that are fitted once",
          .consistent = true,
          .make = make_coupling<SemidiscreteCoupling>,
          .options = [] { return entries_of(kSemidiscreteOptions); }};
}

}  // namespace otnfm
