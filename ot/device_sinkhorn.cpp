#include "ot/device_sinkhorn.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "kernels/error.h"
#include "kernels/fixed_point_step.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "kernels/sinkhorn_resident.h"
#include "ot/costs/widen.h"
#include "ot/entropic/device_plan.h"
#include "ot/entropic/sinkhorn_setup.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr std::int64_t kLookEvery = 8;  // iterations, so that waiting for the host is a small part of them
// Above this dimension reading a float32 costs less than 2 d FLOPs (method: 4 bytes at 4.3 TB/s against 60 TFLOP/s).
constexpr std::int64_t kStoredFrom = 32;

/// A vector on the device that the host writes and reads between stages.
template <class T>
class StagedVector {
 public:
  void reset(Stream& stream, std::int64_t size) {
    const std::size_t bytes = std::max<std::size_t>(1, static_cast<std::size_t>(size)) * sizeof(T);
    if (memory_.bytes() < bytes) memory_ = Memory(stream.device(), bytes, "Sinkhorn's potentials");
    size_ = size;
  }
  View<T> view() const { return {reinterpret_cast<T*>(memory_.data()), {size_}}; }
  void write(Stream& stream, std::span<const T> values) const {
    copy_bytes(stream, memory_.data(), values.data(), values.size_bytes());
    stream.synchronize();
  }
  void read(Stream& stream, std::span<T> values) const {
    copy_bytes(stream, values.data(), memory_.data(), values.size_bytes());
    stream.synchronize();
  }

 private:
  Memory memory_;
  std::int64_t size_ = 0;
};

/// The rows or the columns.
struct Side {
  StagedVector<double> potential, mapped, residual, offset, mean;
  StagedVector<float> marginal, rounded, weight, scratch;

  void reset(Stream& stream, std::span<const double> marginals) {
    const auto count = static_cast<std::int64_t>(marginals.size());
    for (auto* vector : {&potential, &mapped, &residual, &offset, &mean}) vector->reset(stream, count);
    for (auto* vector : {&marginal, &rounded, &weight, &scratch}) vector->reset(stream, count);
    const HostVector<float> narrow(marginals.begin(), marginals.end());
    marginal.write(stream, narrow);
    potential.write(stream, HostVector<double>(marginals.size(), 0.0));
  }
  SoftSource source() const { return {rounded.view(), weight.view()}; }
  SoftTarget target(const StagedVector<double>& after, double damping) const {
    return {.before = potential.view(),
            .after = after.view(),
            .marginal = marginal.view(),
            .rounded = rounded.view(),
            .weight = weight.view(),
            .residual = residual.view(),
            .damping = damping,
            .offset = offset.view()};
  }
};

}  // namespace

struct DeviceSinkhorn::State {
  explicit State(Stream& s) : stream(s), plan(s) {}

  Stream& stream;
  DevicePlan plan;
  SinkhornRegime regime = SinkhornRegime::streaming;
  Side rows, columns;
  StagedVector<double> history, step_state;
  HostVector<double> a, b, f, g, u, v;
  ScaledProblem scaled;

  // Of the solve under way.
  const SinkhornOptions* options = nullptr;
  SinkhornResult* result = nullptr;
  const SolveLimits* limits = nullptr;
  double price = 0, mass = 1;  // of the marginals, in the units of the scaled problem, and that of the columns
  double epsilon = 0, ratio = 1, scale = 1;

  void enter(double at);
  void write_columns();
  void settle_for_the_best(double damping);
  void leave();
  void iterate(double damping, double tolerance);
  bool stage(double at, bool last);
  void run_resident(double first);
  void report();
};

const char* name_of(SinkhornRegime regime) {
  switch (regime) {
    case SinkhornRegime::automatic:
      return "automatic";
    case SinkhornRegime::streaming:
      return "streaming";
    case SinkhornRegime::stored:
      return "stored";
    case SinkhornRegime::stored_16:
      return "stored_16";
    case SinkhornRegime::resident:
      return "resident";
  }
  return "unknown";
}

SinkhornRegime plan_sinkhorn(const Problem& problem, std::size_t free_bytes) {
  const double pairs = static_cast<double>(problem.n()) * static_cast<double>(problem.m());
  const double room = 0.5 * static_cast<double>(free_bytes);
  if (!problem.has_matrix && problem.dimension() < kStoredFrom) return SinkhornRegime::streaming;
  if (4 * pairs <= room) return SinkhornRegime::stored;
  if (2 * pairs <= room) return SinkhornRegime::stored_16;
  if (!problem.has_matrix) return SinkhornRegime::streaming;
  throw InputError(fmt::format("{} take {:.3g} bytes in 16 bits, more than half of the {:.3g} that are free",
                               describe(problem), 2 * pairs, static_cast<double>(free_bytes)));
}

// f and g into exponents at this epsilon, on the device.
void DeviceSinkhorn::State::enter(double at) {
  ratio = epsilon / at;
  scale = kLog2E / at;
  const auto alpha = plan.alpha(), beta = plan.beta();
  for (std::size_t j = 0; j < v.size(); ++j) v[j] = (g[j] - beta[j]) * scale;
  write_columns();
  if (!std::isinf(price)) {
    HostVector<double> offset(a.size());
    for (std::size_t i = 0; i < offset.size(); ++i) offset[i] = alpha[i] * scale;
    rows.offset.write(stream, offset);
    offset.resize(b.size());
    for (std::size_t j = 0; j < offset.size(); ++j) offset[j] = beta[j] * scale;
    columns.offset.write(stream, offset);
  }
  step_state.write(stream, HostVector<double>(FixedPointStep::kStateSize, 0.0));
}

void DeviceSinkhorn::State::write_columns() {
  HostVector<float> rounded(b.size()), weight(b.size());
  for (std::size_t j = 0; j < v.size(); ++j) {
    rounded[j] = static_cast<float>(v[j]);
    weight[j] = static_cast<float>(b[j] * std::exp2(v[j] - static_cast<double>(rounded[j])));
  }
  columns.potential.write(stream, v);
  columns.rounded.write(stream, rounded);
  columns.weight.write(stream, weight);
}

// Where a cap ends a stage: v of the least error so far, and the u that answers to it.
void DeviceSinkhorn::State::settle_for_the_best(double damping) {
  const double* const best = history.view().data + FixedPointStep::kBestRow * b.size();
  copy_bytes(stream, v.data(), best, b.size() * sizeof(double));
  stream.synchronize();
  write_columns();
  plan.transform(false, ratio, columns.source(), rows.target(rows.potential, damping));
}

void DeviceSinkhorn::State::leave() {
  rows.potential.read(stream, u);
  columns.potential.read(stream, v);
  const auto alpha = plan.alpha(), beta = plan.beta();
  for (std::size_t i = 0; i < u.size(); ++i) f[i] = u[i] / scale + alpha[i];
  for (std::size_t j = 0; j < v.size(); ++j) g[j] = v[j] / scale + beta[j];
}

void DeviceSinkhorn::State::iterate(double damping, double tolerance) {
  plan.transform(false, ratio, columns.source(), rows.target(rows.potential, damping));
  plan.transform(true, ratio, rows.source(), columns.target(columns.mapped, damping));
  fixed_point_step(
      stream, {.v = columns.potential.view(),
               .mapped = columns.mapped.view(),
               .residual = columns.residual.view(),
               .marginal = columns.marginal.view(),
               .rounded = columns.rounded.view(),
               .weight = columns.weight.view(),
               .history = {history.view().data, {FixedPointStep::kHistoryRows, static_cast<std::int64_t>(b.size())}},
               .state = step_state.view(),
               .mixing = options->mixing,
               .relaxation = options->relaxation,
               .tolerance = tolerance});
}

// False where the solve ends here, whatever stages would follow.
bool DeviceSinkhorn::State::stage(double at, bool last) {
  ++result->stages;
  enter(at);
  const double damping = std::isinf(price) ? 1 : price / (price + at);
  const double tolerance = mass * stage_tolerance(*options, last);
  const std::int64_t before = result->iterations, look_every = stream.on_cuda() ? kLookEvery : 1;
  double found[2] = {};  // the error and the steps taken, see FixedPointStep
  Graph graph;
  for (std::int64_t launched = 0;;) {
    const double start = limits->seconds();
    const std::int64_t left = std::max<std::int64_t>(1, options->max_iterations - before - launched);
    const std::int64_t count = std::min({look_every, left, last ? look_every : kStageIterations - launched});
    if (stream.on_cuda() && count == kLookEvery) {
      if (!graph)
        graph = Graph::capture(stream, [&] {
          for (std::int64_t k = 0; k < kLookEvery; ++k) iterate(damping, tolerance);
        });
      graph.launch(stream);
    } else {
      for (std::int64_t k = 0; k < count; ++k) iterate(damping, tolerance);
    }
    launched += count;
    step_state.read(stream, found);
    const bool done = found[0] <= tolerance;
    result->iterations = before + static_cast<std::int64_t>(found[1]) + (done ? 1 : 0);
    if ((done && last) || !std::isfinite(found[0])) break;
    const double pass = limits->seconds() - start;  // of so many launched
    const bool capped = result->iterations >= options->max_iterations || limits->reached(result->iterations);
    if (capped || limits->seconds_left() < pass) {
      if (!done) settle_for_the_best(damping);
      result->status = capped ? limits->status() : SolveStatus::time_limit;
      result->message = fmt::format("stopped after {} iterations, {:.3g} s, at an L1 error of {:.3g}",
                                    result->iterations, limits->seconds(), found[0] / mass);
      break;
    }
    if (done || (!last && launched >= kStageIterations)) break;
  }
  leave();
  result->rounding = plan.rounding() * ratio + kLog2 * std::ldexp(largest_size(u) + largest_size(v), -24) +
                     std::ldexp(largest_size(f) + largest_size(g), -53) * scale * kLog2;
  if (!std::isfinite(found[0]) || !(result->rounding <= kFailAbove)) {  // smaller epsilons round more
    fail_by_rounding(at, *result);
    return false;
  }
  return result->status == SolveStatus::converged;
}

// In exponents at the last epsilon throughout: there epsilon is log2(e), and C is -s.
void DeviceSinkhorn::State::run_resident(double first) {
  const auto n = static_cast<std::int64_t>(a.size()), m = static_cast<std::int64_t>(b.size());
  StagedVector<float> on_rows, on_columns, error;
  StagedVector<std::int32_t> iterations;
  on_rows.reset(stream, n);
  on_columns.reset(stream, m);
  error.reset(stream, 1);
  iterations.reset(stream, 1);
  scale = kLog2E / epsilon;
  ratio = 1;
  sinkhorn_resident(stream, {.x = plan.x(),
                             .y = plan.y(),
                             .f = {on_rows.view().data, {1, n}},
                             .g = {on_columns.view().data, {1, m}},
                             .error = error.view(),
                             .iterations = iterations.view(),
                             .epsilon = static_cast<float>(kLog2E),
                             .first_epsilon = options->annealing ? static_cast<float>(first * scale) : 0.0f,
                             .factor = static_cast<float>(options->annealing_factor),
                             .tolerance = static_cast<float>(stage_tolerance(*options, true)),
                             .max_iterations = static_cast<std::int32_t>(std::clamp<std::int64_t>(
                                 options->max_iterations, 1, std::numeric_limits<std::int32_t>::max()))});
  HostVector<float> row_values(a.size()), column_values(b.size());
  float reached = 0;
  std::int32_t taken = 0;
  on_rows.read(stream, row_values);
  on_columns.read(stream, column_values);
  error.read(stream, {&reached, 1});
  iterations.read(stream, {&taken, 1});
  u.assign(row_values.begin(), row_values.end());
  v.assign(column_values.begin(), column_values.end());
  HostVector<float> weight(a.begin(), a.end());
  rows.potential.write(stream, u);
  rows.rounded.write(stream, row_values);
  rows.weight.write(stream, weight);
  write_columns();
  leave();
  result->iterations = taken;
  result->rounding = kLog2 * std::ldexp(largest_size(u) + largest_size(v), -23);
  if (!std::isfinite(reached) || !(result->rounding <= kFailAbove)) {
    fail_by_rounding(epsilon, *result);
  } else if (!(reached <= static_cast<float>(options->tolerance))) {
    result->status = SolveStatus::iteration_limit;
    result->message = fmt::format("stopped after {} iterations, at an L1 error of {:.3g}", taken, reached);
  }
}

// One more pass each way, whose sums say what the plan costs and how far its marginals are off.
void DeviceSinkhorn::State::report() {
  HostVector<double> row_sums(a.size()), column_sums(b.size()), exponents(a.size());
  SoftTarget row = rows.target(rows.mapped, 1), column = columns.target(columns.mapped, 1);
  for (const auto& [target, side] : {std::pair{&row, &rows}, {&column, &columns}})
    target->rounded = target->weight = side->scratch.view();  // those of the potentials are still to be read
  row.mean = rows.mean.view();
  plan.transform(false, ratio, columns.source(), row);
  plan.transform(true, ratio, rows.source(), column);
  rows.mapped.read(stream, row_sums);
  rows.mean.read(stream, exponents);
  columns.mapped.read(stream, column_sums);
  for (std::size_t i = 0; i < a.size(); ++i) {
    row_sums[i] = a[i] * std::exp2(u[i] - row_sums[i]);
    exponents[i] *= plan.unit() * row_sums[i];
  }
  for (std::size_t j = 0; j < b.size(); ++j) column_sums[j] = b[j] * std::exp2(v[j] - column_sums[j]);
  report_plan({.a = a,
               .b = b,
               .alpha = plan.alpha(),
               .beta = plan.beta(),
               .row_sums = row_sums,
               .column_sums = column_sums,
               .row_exponents = exponents,
               .unit = epsilon / kLog2E},
              price, *result);
}

DeviceSinkhorn::DeviceSinkhorn(Stream& stream) : state_(std::make_unique<State>(stream)) {}
DeviceSinkhorn::~DeviceSinkhorn() = default;

SinkhornRegime DeviceSinkhorn::regime() const {
  return state_->regime;
}

namespace {

// The plan of the scaled problem.
void solve_plan(DeviceSinkhorn::State& state, const SinkhornOptions& options, SinkhornResult& result) {
  const Problem& problem = state.scaled.problem();
  const CostSpread spread = cost_spread(problem);
  if (!choose_epsilon(options, state.scaled, spread, result)) return;
  state.epsilon = result.epsilon;
  state.plan.reset(problem, result.epsilon, state.regime, state.limits);
  state.rows.reset(state.stream, state.a);
  state.columns.reset(state.stream, state.b);
  state.history.reset(state.stream, FixedPointStep::kHistoryRows * problem.m());
  state.step_state.reset(state.stream, FixedPointStep::kStateSize);
  state.u.assign(state.a.size(), 0.0);
  state.v.assign(state.b.size(), 0.0);
  const bool warm = !options.initial_g.empty();
  for (std::size_t j = 0; j < options.initial_g.size(); ++j) state.g[j] = state.scaled.forth(options.initial_g[j]);
  if (state.regime == SinkhornRegime::resident)
    state.run_resident(first_epsilon(spread));
  else
    anneal(options.annealing && !warm ? first_epsilon(spread) : result.epsilon, result.epsilon,
           options.annealing_factor, state.g, [&](double epsilon, bool last) { return state.stage(epsilon, last); });
  result.epsilon /= state.ratio;
  assign_result(result.f, state.f);
  assign_result(result.g, state.g);
  if (result.status != SolveStatus::numerical_failure) state.report();
}

void solve_problem(DeviceSinkhorn::State& state, const Problem& problem, const SinkhornOptions& options,
                   SinkhornResult& result, SinkhornRegime regime) {
  const std::int64_t n = problem.n(), m = problem.m();
  const SolveLimits own(SolveLimits::kNoIterations, options.max_seconds, &options.watch);
  const SolveLimits limits = options.limits != nullptr ? *options.limits : own;
  result = {};
  assign_result(result.f, n, 0.0);
  assign_result(result.g, m, 0.0);
  if (n == 0 || m == 0) return;
  if (n > kMostSoftTargets || m > kMostSoftTargets)
    throw InputError(fmt::format("{}: at most {} rows and columns", describe(problem), kMostSoftTargets));
  const std::size_t room =
      std::min(static_cast<std::size_t>(options.most_bytes) * 2, free_bytes(state.stream.device()));
  state.regime = regime == SinkhornRegime::automatic ? plan_sinkhorn(problem, room) : regime;
  if (state.regime == SinkhornRegime::streaming && problem.has_matrix)
    throw InputError("streaming computes costs from points: a cost matrix must be stored");
  const bool free = !std::isinf(options.marginal_penalty);
  const bool plain = options.source_weights.empty() && options.target_weights.empty() && options.initial_g.empty() &&
                     !free && !problem.has_matrix && problem.cost == Cost::squared_euclidean;
  if (state.regime == SinkhornRegime::resident && !(plain && fits_resident(n, m)))
    throw InputError(
        fmt::format("a resident problem has squared Euclidean costs that fit in shared memory (n = m: up to "
                    "237), uniform marginals and no warm start, unlike these {}",
                    describe(problem)));
  state.a = marginal_of(options.source_weights, n, free, "source_weights");
  state.b = marginal_of(options.target_weights, m, free, "target_weights");
  state.options = &options;
  state.result = &result;
  state.limits = &limits;
  state.mass = std::accumulate(state.b.begin(), state.b.end(), 0.0);
  state.f.assign(state.a.size(), 0.0);
  state.g.assign(state.b.size(), 0.0);
  bool stopped = false;
  try {
    state.scaled.reset(problem, &limits);
    state.price = state.scaled.forth(options.marginal_penalty);
    const bool forbids = options.check_input && check_entries(problem, &limits);
    if (state.regime == SinkhornRegime::stored_16 && forbids)
      throw InputError("stored_16 has one range for all costs, and these are infinite where a pair is forbidden");
    if (forbids) check_allowed(problem, state.a, state.b, limits);
    solve_plan(state, options, result);
  } catch (const SolveStopped&) {
    stopped = true;
    assign_result(result.f, state.f);
    assign_result(result.g, state.g);
  }
  if (stopped || result.status == SolveStatus::numerical_failure) report_no_plan(limits, result);
  scale_back(state.scaled, result);
  result.seconds = own.seconds();
}

}  // namespace

void DeviceSinkhorn::solve(const Problem& problem, const SinkhornOptions& options, SinkhornResult& result,
                           SinkhornRegime regime) {
  check_options(options, problem.m());
  const host::ThreadLimit thread_limit(options.threads);
  naming_memory([&] { return "the Sinkhorn plan of " + describe(problem); },
                [&] { solve_problem(*state_, problem, options, result, regime); });
}

}  // namespace otnfm
