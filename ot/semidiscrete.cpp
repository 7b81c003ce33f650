#include "ot/semidiscrete.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "kernels/biased_argmin.h"
#include "kernels/check.h"
#include "kernels/clock.h"
#include "kernels/host_vector.h"
#include "kernels/memory.h"
#include "ot/costs/scaled_problem.h"
#include "ot/costs/spatial_order.h"

namespace otnfm {
namespace {

constexpr std::int64_t kMostCoarse = 8;       // dimensions up to which coarse levels help
constexpr std::int64_t kFewest = 8;           // points of the coarsest level, at least
constexpr std::int64_t kWindow = 50;          // steps over which chi^2 is counted together
constexpr std::int64_t kEvaluated = 1 << 15;  // draws that the result is evaluated with, at least
constexpr std::int64_t kBatch = 1 << 14;      // of draws outside of steps

/// The unbiased estimate of N sum_j P(j)^2 - 1: of any two draws that met the same potentials, how many went to the
/// same point.
class ChiSquared {
 public:
  void add(const HostVector<std::int32_t>& counts) {
    double draws = 0;
    for (std::int32_t count : counts) {
      same_ += static_cast<double>(count) * (count - 1.0);
      draws += count;
    }
    all_ += draws * (draws - 1);
    points_ = static_cast<double>(counts.size());
  }
  double value() const { return all_ > 0 ? points_ * same_ / all_ - 1 : std::numeric_limits<double>::infinity(); }

 private:
  double points_ = 0, same_ = 0, all_ = 0;
};

/// Rows of `from` in spatial order, so that biased_argmin can pass over most of them; order[p] is where row p was.
HostVector<float> ordered(View<const float> from, HostVector<std::int32_t>& order) {
  const std::int64_t n = from.rows(), d = from.columns();
  order.resize(static_cast<std::size_t>(n));
  if (d <= BiasedArgmin::kMostDirect) {
    HostVector<double> wide(static_cast<std::size_t>(n * d));
    for (std::int64_t i = 0; i < n; ++i) std::copy_n(from.row(i), d, &wide[i * d]);
    spatial_order(wide, d, order);
  } else {
    std::iota(order.begin(), order.end(), 0);
  }
  HostVector<float> rows(static_cast<std::size_t>(n * d));
  for (std::int64_t p = 0; p < n; ++p) std::copy_n(from.row(order[p]), d, &rows[p * d]);
  return rows;
}

/// biased_argmin of the host's numbers on a device.
class Search {
 public:
  explicit Search(Device device) : stream_(device) {}

  void run(View<const float> x, View<const float> points, const HostVector<float>& bias, std::int64_t* index,
           float* value) {
    const std::int64_t B = x.rows(), N = points.rows();
    BiasedArgmin a{.x = x,
                   .points = points,
                   .bias = View<const float>(bias.data(), {N}),
                   .index = {index, {B}},
                   .value = {value, {B}}};
    if (stream_.on_cuda()) {
      a.x.data = upload(x_, x.data, x.size());
      a.points.data = upload(points_, points.data, points.size());
      a.bias.data = upload(bias_, bias.data(), N);
      a.index.data = reinterpret_cast<std::int64_t*>(room(index_, B * sizeof(std::int64_t)));
      a.value.data = reinterpret_cast<float*>(room(value_, B * sizeof(float)));
    }
    biased_argmin(stream_, a);
    if (stream_.on_cuda()) {
      copy_bytes(stream_, index, a.index.data, static_cast<std::size_t>(B) * sizeof(std::int64_t));
      copy_bytes(stream_, value, a.value.data, static_cast<std::size_t>(B) * sizeof(float));
      stream_.synchronize();
    }
  }

 private:
  std::byte* room(Memory& memory, std::size_t bytes) {
    if (memory.bytes() < bytes) memory = Memory(stream_.device(), bytes, "semidiscrete transport");
    return memory.data();
  }
  const float* upload(Memory& memory, const float* from, std::int64_t count) {
    float* const to = reinterpret_cast<float*>(room(memory, static_cast<std::size_t>(count) * sizeof(float)));
    copy_bytes(stream_, to, from, static_cast<std::size_t>(count) * sizeof(float));
    return to;
  }

  Stream stream_;
  Memory x_, points_, bias_, index_, value_;
};

class Solver {
 public:
  Solver(View<const float> points, const DrawSource& draw, const SemidiscreteOptions& options)
      : N_(points.rows()),
        d_(points.columns()),
        draw_(draw),
        options_(options),
        began_(now()),
        search_(options.device) {
    // Centred, since the expanded squares of many dimensions lose what lies far from 0.
    mean_.assign(static_cast<std::size_t>(d_), 0.0);
    for (std::int64_t j = 0; j < N_; ++j)
      for (std::int64_t k = 0; k < d_; ++k) mean_[k] += points(j, k);
    for (double& value : mean_) value /= static_cast<double>(N_);
    HostVector<float> centred(static_cast<std::size_t>(N_ * d_));
    for (std::int64_t j = 0; j < N_; ++j)
      for (std::int64_t k = 0; k < d_; ++k) centred[j * d_ + k] = static_cast<float>(points(j, k) - mean_[k]);
    points_ = ordered({centred.data(), {N_, d_}}, order_);
  }

  Semidiscrete solve() {
    measure_scale();
    HostVector<HostVector<float>> levels(1, points_);
    if (options_.coarse_levels && d_ <= kMostCoarse)
      while (count(levels.back()) / kGroup >= kFewest) levels.push_back(coarser(levels.back()));
    HostVector<float> g(static_cast<std::size_t>(count(levels.back())), 0.0f);
    try {
      for (std::size_t level = levels.size(); level-- > 0;) {
        if (stopped_) break;
        const std::int64_t n = count(levels[level]);
        if (level + 1 < levels.size()) g = transform(levels[level + 1], g, levels[level]);
        if (level > 0 || options_.stages.empty()) {
          ascend(levels[level], default_stage(n, d_, level + 1 == levels.size()), g);
          continue;
        }
        for (const SemidiscreteStage& stage : options_.stages)
          if (!ascend(levels[level], stage, g)) break;
      }
      if (!stopped_) evaluate(g);
    } catch (const Stopped&) {
    }
    assign_result(result_.potentials, N_, 0.0f);
    if (stopped_) {  // at once: what there is at a coarse level is of no use
      result_.status = SolveStatus::iteration_limit;
      result_.seconds = now() - began_;
      return std::move(result_);
    }
    const double mean = std::accumulate(g.begin(), g.end(), 0.0) / static_cast<double>(N_);
    for (std::int64_t p = 0; p < N_; ++p) result_.potentials[order_[p]] = static_cast<float>(g[p] - mean);
    result_.seconds = now() - began_;
    return std::move(result_);
  }

 private:
  std::int64_t count(const HostVector<float>& rows) const { return static_cast<std::int64_t>(rows.size()) / d_; }
  View<const float> matrix(const HostVector<float>& rows) const { return {rows.data(), {count(rows), d_}}; }

  HostVector<float> coarser(const HostVector<float>& rows) const {
    HostVector<double> means;
    coarsen(HostVector<double>(rows.begin(), rows.end()), d_, means);
    return {means.begin(), means.end()};
  }

  void draw(std::int64_t B) {
    x_.resize(static_cast<std::size_t>(B * d_));
    draw_(drawn_++, {x_.data(), {B, d_}});
    for (std::int64_t i = 0; i < B; ++i)
      for (std::int64_t k = 0; k < d_; ++k) x_[i * d_ + k] = static_cast<float>(x_[i * d_ + k] - mean_[k]);
  }

  struct Stopped {};

  /// Where the rows of x go, to index_ and value_.
  void pair(const HostVector<float>& x, const HostVector<float>& points, const HostVector<float>& g) {
    const std::int64_t B = count(x);
    index_.resize(static_cast<std::size_t>(B));
    value_.resize(static_cast<std::size_t>(B));
    // In parts of a fraction of a second, so that the solve can be ended between them.
    constexpr std::int64_t kAtOnce = std::int64_t{1} << 31;
    const std::int64_t part =
        options_.device == Device::cuda ? B : std::max<std::int64_t>(256, kAtOnce / (count(points) * d_));
    for (std::int64_t first = 0; first < B; first += part) {
      const std::int64_t rows = std::min(part, B - first);
      search_.run(matrix(x).row_slice(first, rows), matrix(points), g, &index_[static_cast<std::size_t>(first)],
                  &value_[static_cast<std::size_t>(first)]);
      stopped_ = stopped_ || (options_.wanted && !options_.wanted());
      if (stopped_) throw Stopped();
    }
    for (std::int64_t index : index_)
      if (index < 0) throw InputError("semidiscrete transport: the source gave a number that is not finite");
  }

  void measure_scale() {
    constexpr std::int64_t kDraws = 256, kPoints = 1024;
    draw(kDraws);
    const std::int64_t used = std::min(N_, kPoints);
    double sum = 0;
    for (std::int64_t i = 0; i < kDraws; ++i) {
      double first = 0, second = 0;
      for (std::int64_t p = 0; p < used; ++p) {
        const float* y = &points_[p * N_ / used * d_];
        double cost = 0;
        for (std::int64_t k = 0; k < d_; ++k) cost += std::pow(static_cast<double>(x_[i * d_ + k]) - y[k], 2);
        first += cost;
        second += cost * cost;
      }
      first /= static_cast<double>(used);
      sum += std::sqrt(std::max(0.0, second / static_cast<double>(used) - first * first));
    }
    scale_ = sum / kDraws;
  }

  /// The potentials of `fine` from those of `coarse`, by way of a sample of x.
  HostVector<float> transform(const HostVector<float>& coarse, const HostVector<float>& g,
                              const HostVector<float>& fine) {
    const std::int64_t n = count(fine);
    draw(2 * n);
    HostVector<std::int32_t> order;
    const HostVector<float> x = ordered(matrix(x_), order);
    pair(x, coarse, g);
    const HostVector<float> f = value_;
    pair(fine, x, f);
    return value_;
  }

  /// False where a cap or the wanted chi^2 ended it; g is the mean of the last quarter of the iterates.
  bool ascend(const HostVector<float>& points, const SemidiscreteStage& stage, HostVector<float>& g) {
    const std::int64_t n = count(points);
    const std::int64_t averaged = std::max<std::int64_t>(1, stage.steps / 4);
    HostVector<double> sum(static_cast<std::size_t>(n), 0.0);
    ChiSquared window;
    HostVector<std::int32_t> counts(static_cast<std::size_t>(n));
    std::int64_t summed = 0;
    bool goes_on = true;
    for (std::int64_t step = 0; step < stage.steps && goes_on; ++step) {
      if (stopped_ || result_.steps >= options_.max_steps || now() - began_ > options_.max_seconds) {
        result_.status = SolveStatus::iteration_limit;
        goes_on = false;
        break;
      }
      draw(stage.batch);
      pair(x_, points, g);
      std::ranges::fill(counts, 0);
      for (std::int64_t index : index_) ++counts[index];
      const double done = static_cast<double>(step) / static_cast<double>(std::max<std::int64_t>(1, stage.steps - 1));
      const double rate = scale_ * stage.first_rate * std::pow(stage.last_rate / stage.first_rate, done);
      const float up = static_cast<float>(rate),
                  down = static_cast<float>(rate * static_cast<double>(n) / static_cast<double>(stage.batch));
      window.add(counts);
      for (std::int64_t j = 0; j < n; ++j) g[j] += up - down * static_cast<float>(counts[j]);
      ++result_.steps;
      if (step >= stage.steps - averaged) {
        for (std::int64_t j = 0; j < n; ++j) sum[j] += g[j];
        ++summed;
      }
      if ((step + 1) % kWindow == 0 || step + 1 == stage.steps) {
        if (options_.watch) stopped_ = !options_.watch({n, result_.steps, window.value(), now() - began_});
        goes_on = !(options_.chi_squared > 0 && window.value() < options_.chi_squared);
        window = {};
      }
    }
    if (summed > 0)
      for (std::int64_t j = 0; j < n; ++j) g[j] = static_cast<float>(sum[j] / static_cast<double>(summed));
    return goes_on;
  }

  void evaluate(const HostVector<float>& g) {
    HostVector<std::int32_t> counts(static_cast<std::size_t>(N_), 0);
    double sum = 0, draws = 0;
    const std::int64_t wanted = std::max(kEvaluated, d_ <= BiasedArgmin::kMostDirect ? 4 * N_ : N_ / 4);
    while (draws < static_cast<double>(wanted)) {
      draw(kBatch);
      pair(x_, points_, g);
      for (std::int64_t index : index_) ++counts[index];
      for (float value : value_) sum += value;
      draws += kBatch;
    }
    ChiSquared chi_squared;
    chi_squared.add(counts);
    result_.chi_squared = chi_squared.value();
    result_.dual = sum / draws + std::accumulate(g.begin(), g.end(), 0.0) / static_cast<double>(N_);
  }

  std::int64_t N_, d_;
  const DrawSource& draw_;
  const SemidiscreteOptions& options_;
  double began_, scale_ = 0;
  bool stopped_ = false;  // by the watch, or as it is wanted no more
  std::uint64_t drawn_ = 0;
  HostVector<double> mean_;
  HostVector<std::int32_t> order_;
  HostVector<float> points_;  // [N, d], centred and in spatial order
  HostVector<float> x_, value_;
  HostVector<std::int64_t> index_;
  Search search_;
  Semidiscrete result_;
};

}  // namespace

SemidiscreteStage default_stage(std::int64_t points, std::int64_t dimension, bool from_nothing) {
  // A cell that is 1/n of the whole has a diameter of n^(-1/d), and costs change over it by the square of that.
  const double cell = std::pow(static_cast<double>(points),
                               -2.0 / static_cast<double>(std::clamp<std::int64_t>(dimension, 1, kMostCoarse)));
  if (dimension > kMostCoarse) return {.first_rate = cell, .last_rate = 0.003 * cell, .steps = 1500, .batch = 2048};
  return {.first_rate = from_nothing ? std::max(0.2, 2 * cell) : 2 * cell,
          .last_rate = 0.02 * cell,
          .steps = from_nothing ? 400 : 200,
          .batch = std::clamp<std::int64_t>(4 * points, 1024, 32768)};
}

Semidiscrete solve_semidiscrete(View<const float> points, const DrawSource& draw, const SemidiscreteOptions& options) {
  const char* where = "semidiscrete transport";
  require(points.rank == 2 && !points.empty(), where, "the points must be a matrix that is not empty",
          describe(points));
  require_matrix(where, "the points", points, points.rows(), points.columns());
  const Problem of_points = Problem::from_points(points, points);
  check_finite(of_points);
  constexpr int kMostExponent = 126;  // of float32, with room for a difference
  if (const CostSize size = cost_size(of_points); !size.zero && size.exponent > kMostExponent)
    throw InputError("semidiscrete transport: the points' " + size.largest +
                     ": squared distances exceed float32; scale the points down");
  for (const SemidiscreteStage& stage : options.stages)
    if (stage.steps < 1 || stage.batch < 1 || !(stage.first_rate > 0) || !(stage.last_rate > 0))
      throw InputError("semidiscrete transport: a stage needs steps, a batch and rates above 0, not " +
                       std::to_string(stage.steps) + " steps of " + std::to_string(stage.batch) + " at rates " +
                       std::to_string(stage.first_rate) + " to " + std::to_string(stage.last_rate));
  return naming_memory(
      [&] {
        return "the semidiscrete potentials of " + std::to_string(points.rows()) +
               " points, d = " + std::to_string(points.columns());
      },
      [&] { return Solver(points, draw, options).solve(); });
}

}  // namespace otnfm
