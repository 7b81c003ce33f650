#include "ot/auction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/cost_columns.h"
#include "ot/costs/fill_rows.h"
#include "ot/costs/float_costs.h"
#include "ot/costs/infinity.h"
#include "ot/costs/integer_range.h"
#include "ot/costs/widen.h"
#include "ot/exact.h"
#include "ot/matching/batch.h"
#include "ot/matching/dense_assignment.h"
#include "ot/matching/dense_auction.h"
#include "ot/matching/epsilon_scaling.h"
#include "ot/matching/multilevel.h"
#include "ot/matching/proven_solve.h"
#include "ot/matching/sharp_assignment.h"
#include "ot/matching/short_list_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr std::int64_t kListLength = 40;
constexpr int kPhases = 4;
constexpr std::int64_t kMostStored = std::int64_t{1} << 28;  // costs; 2 GiB
constexpr double kFloatGap = 3e-5;                           // from where float32 costs are tried first
constexpr std::int64_t kRowsFromDimension = 8;
constexpr double kExactBelow = 4503599627370496.0;  // 2^52

// What one thread needs to solve one problem.
struct Scratch {
  PreparedProblem prepared;
  CostColumns costs;
  ShortListAssignment lists;
  MultilevelAssignment multilevel;
  DenseAssignment<double> paths;
  DenseAuction<float> quick;
  DenseAuction<double> dense;
  FloatCosts floats;
  HostVector<double> matrix, g;
};

// Rounds potentials to whole numbers where the costs are whole: they are optimal within epsilon < 1 / (n + 1) before,
// and optimal afterwards. On the circle of fractional parts, those of the n potentials and the 0 of the free columns
// leave a gap of at least 1 / (n + 1) somewhere, and all are rounded down from its end. That changes the difference of
// two by at most 1 less the gap, so that g_k - g_j <= C_ik - C_ij + epsilon becomes less than C_ik - C_ij + 1; both
// sides are whole now, so it is at most C_ik - C_ij. Returns what the 0 of the free columns becomes.
double round_to_whole(std::span<double> g) {
  HostVector<double> fractions;
  for (const double value : g) fractions.push_back(value - std::floor(value));
  std::sort(fractions.begin(), fractions.end());
  double cut = fractions.front(), widest = 1 - fractions.back() + fractions.front();
  for (std::size_t k = 1; k < fractions.size(); ++k)
    if (const double gap = fractions[k] - fractions[k - 1]; gap > widest) {
      widest = gap;
      cut = fractions[k];
    }
  for (double& value : g) value = std::floor(value - cut);
  return std::floor(0 - cut);
}

// What a solver over rows (the problem's columns, where exchanged) has found.
template <class T, class Index>
void store(std::span<const Index> column_of, std::span<const T> row_potentials, std::span<const T> column_potentials,
           bool exchanged, Assignment& result) {
  for (std::size_t i = 0; i < column_of.size(); ++i) {
    if (column_of[i] < 0) continue;
    if (exchanged)
      result.sigma[static_cast<std::size_t>(column_of[i])] = static_cast<std::int64_t>(i);
    else
      result.sigma[i] = column_of[i];
  }
  std::copy(row_potentials.begin(), row_potentials.end(), (exchanged ? result.g : result.f).begin());
  std::copy(column_potentials.begin(), column_potentials.end(), (exchanged ? result.f : result.g).begin());
}

void add(std::vector<double>& values, double what) {
  for (double& value : values) value += what;
}

// One problem, its smaller side as rows.
class RowSolver {
 public:
  RowSolver(const PreparedProblem& prepared, const AuctionOptions& options, const SolveLimits& limits, Scratch& scratch,
            Assignment& result)
      : prepared_(prepared),
        problem_(prepared.problem()),
        options_(options),
        limits_(limits),
        scratch_(scratch),
        result_(result),
        exchanged_(problem_.n() > problem_.m()),
        square_(problem_.n() == problem_.m()),
        rows_(std::min(problem_.n(), problem_.m())),
        columns_(std::max(problem_.n(), problem_.m())) {}

  void solve() {
    plan_ = {.max_gap = options_.max_gap, .phases = kPhases};
    if (problem_.integral()) {
      range_ = range_of_integers(problem_.costs, limits_);
      least_ = range_.least;
      plan_.unit = std::exp2(-std::floor(std::log2(static_cast<double>(rows_ + 1))) - 1);
      if (static_cast<double>(range_.width()) >= kExactBelow * plan_.unit / 8) return solve_exactly();
    }
    const bool fits = rows_ <= kMostStored / columns_;
    const bool floats = !problem_.integral() && !prepared_.wide() && options_.max_gap >= kFloatGap;
    if (fits && floats && solve_in_float()) return;
    scratch_.costs.reset(problem_, exchanged_, least_, options_.threads);
    const auto add_least = [&] { add(exchanged_ ? result_.g : result_.f, static_cast<double>(least_)); };
    try {
      fits ? solve_stored() : solve_lists();
    } catch (const SolveStopped&) {
      add_least();
      throw;
    }
    add_least();
  }

 private:
  // The exact solver, for whole numbers that double does not hold.
  void solve_exactly() {
    ExactWorkspace workspace;
    ExactOptions exact;
    exact.certify = exact.check_input = false;
    exact.threads = options_.threads;
    const std::int64_t before = result_.iterations;
    exact.max_iterations = limits_.remaining(before).iterations();
    exact.watch = [this](const SolveProgress&) { return !limits_.out_of_time(); };
    exact.max_seconds = std::max(0.0, limits_.seconds_left());
    solve_exact(problem_, exact, workspace, result_);
    if (result_.status != SolveStatus::converged) result_.status = limits_.status();
    result_.iterations += before;
    result_.algorithm = "auction, shortest paths";
  }

  void start_potentials(HostVector<double>& g) const {
    g.assign(static_cast<std::size_t>(columns_), 0.0);
    if (!square_ || options_.warm_start.empty()) return;
    const auto width = static_cast<double>(range_.width());
    for (std::size_t j = 0; j < g.size(); ++j) {
      const double value = prepared_.scaled().forth(options_.warm_start[j]);
      g[j] = problem_.integral() ? plan_.unit * std::round(std::clamp(value, -width, width) / plan_.unit) : value;
    }
  }

  // Where n != m there is one phase, so its epsilon is already the last.
  template <class Auction>
  AuctionEnd run(Auction& auction, double spread) {
    plan_.first_epsilon =
        square_ ? spread
                : plan_.max_gap * std::fabs(auction.bounds(limits_).dual + plan_.offset) / static_cast<double>(rows_);
    if (plan_.unit > 0) plan_.first_epsilon = std::max(plan_.unit, plan_.first_epsilon);
    const AuctionEnd end = run_auction(auction, plan_, limits_.remaining(result_.iterations));
    result_.iterations += auction.bids();
    if (end == AuctionEnd::limit) result_.status = limits_.status();
    return end;
  }

  bool solve_in_float() {
    const FloatCosts& costs = scratch_.floats;
    scratch_.floats.reset(problem_, exchanged_, scratch_.costs, options_.threads, limits_);
    start_potentials(scratch_.g);
    DenseAuction<float>& auction = scratch_.quick;
    auction.reset(costs.matrix().data(), rows_, columns_, scratch_.g, options_.threads);
    plan_.offset = costs.offset_sum();
    plan_.rounding = costs.rounding();
    const AuctionEnd end = run(auction, auction.spread());
    plan_.offset = plan_.rounding = 0;
    if (end == AuctionEnd::left_over) return false;
    store<float, std::int32_t>(auction.column_of(), auction.f(), auction.g(), exchanged_, result_);
    std::vector<double>& f = exchanged_ ? result_.g : result_.f;
    for (std::size_t i = 0; i < costs.offsets().size(); ++i) f[i] += costs.offsets()[i];
    return true;
  }

  void solve_stored() {
    HostVector<double>& matrix = scratch_.matrix;
    matrix.resize(static_cast<std::size_t>(rows_ * columns_));
    fill_rows(rows_, columns_ * (1 + problem_.dimension()), limits_, [&](std::int64_t first, std::int64_t count) {
      scratch_.costs.tile(first, count, matrix.data() + first * columns_);
    });
    start_potentials(scratch_.g);
    DenseAuction<double>& auction = scratch_.dense;
    auction.reset(matrix.data(), rows_, columns_, scratch_.g, options_.threads);
    const AuctionEnd end = run(auction, auction.spread());
    const std::span<double> g = auction.g();
    if (is_answer(end, auction.column_of())) {
      double zero = 0;
      if (end == AuctionEnd::within_unit) {
        if (largest_size(g) >= kExactBelow * plan_.unit) return solve_exactly_after_all();
        zero = round_to_whole(g);
        auction.bounds(limits_);
      }
      store<double, std::int32_t>(auction.column_of(), auction.f(), g, exchanged_, result_);
      lift(zero);
      return;
    }
    const bool complete = all_matched<std::int32_t>(auction.column_of());
    if (complete) store<double, std::int32_t>(auction.column_of(), auction.f(), g, exchanged_, result_);
    // Potentials that dwarf what is to be decided, as forbidden pairs and costs of many magnitudes make them, round it
    // away. From none the paths need none that large.
    const bool usable = square_ && largest_size(g) < (plan_.unit > 0 ? kExactBelow * plan_.unit : kInfinity);
    follow_paths(usable ? std::span<const double>(g) : std::span<const double>{}, complete);
    if (!usable || result_.status != SolveStatus::converged) return;
    const double allowed = std::max(options_.max_gap, 1e-9) * std::fabs(found_.primal);
    if (found_.primal - found_.dual > allowed) follow_paths({}, true);
  }

  template <class Index>
  static bool all_matched(std::span<const Index> column_of) {
    return std::ranges::find(column_of, -1) == column_of.end();
  }

  // A gap that what stands for forbidden pairs has a part in says nothing of the pairs that are left, nor that there is
  // no assignment without them: shortest paths do.
  bool is_answer(AuctionEnd end, std::span<const std::int32_t> column_of) const {
    if (end == AuctionEnd::left_over) return false;
    if (end != AuctionEnd::within_gap || !prepared_.forbids()) return true;
    for (std::int64_t i = 0; i < rows_; ++i) {
      const std::int64_t j = column_of[static_cast<std::size_t>(i)];
      if (exchanged_ ? prepared_.forbids(j, i) : prepared_.forbids(i, j)) return false;
    }
    return true;
  }

  // With `keep`, what the result has is complete, and stays where a limit comes before another is.
  void follow_paths(std::span<const double> start, bool keep) {
    DenseAssignment<double>& paths = scratch_.paths;
    const SolveLimits rest = limits_.remaining(result_.iterations);
    result_.iterations += problem_.integral() ? paths.solve(scratch_.matrix.data(), rows_, columns_, rest, start)
                                              : solve_sharply(paths, scratch_.matrix, rows_, columns_, rest, start);
    if (!paths.complete()) result_.status = limits_.status();
    if (keep && !all_matched<std::int64_t>(paths.column_of())) return;
    std::fill(result_.sigma.begin(), result_.sigma.end(), -1);
    store<double, std::int64_t>(paths.column_of(), paths.u(), paths.v(), exchanged_, result_);
    std::vector<double>& of_rows = exchanged_ ? result_.g : result_.f;
    for (std::size_t i = 0; i < of_rows.size(); ++i)
      if (paths.column_of()[i] < 0) of_rows[i] = -kInfinity;  // not known
    long double primal = 0, dual = 0;
    for (std::int64_t i = 0; i < rows_; ++i) {
      const std::int64_t j = paths.column_of()[static_cast<std::size_t>(i)];
      if (j >= 0) primal += scratch_.matrix[static_cast<std::size_t>(i * columns_ + j)];
      dual += paths.u()[static_cast<std::size_t>(i)];
    }
    for (const double value : paths.v()) dual += value;
    found_ = {.primal = static_cast<double>(primal), .dual = static_cast<double>(dual)};
  }

  void solve_lists() {
    HostVector<double>& g = scratch_.g;
    ShortListAssignment& lists = scratch_.lists;
    scratch_.costs.use(g);
    const auto begin = [&](bool from_zero) {
      if (from_zero)
        g.assign(static_cast<std::size_t>(columns_), 0.0);
      else
        start_potentials(g);
      lists.reset(rows_, g, scratch_.costs, kListLength);
      return scratch_.costs.list_all(lists, kListLength, &limits_);
    };
    const auto follow = [&] {
      const SolveLimits rest = limits_.remaining(result_.iterations);
      lists.initialise(rest);
      if (!lists.solve(rest)) result_.status = limits_.status();
      result_.iterations += lists.paths();
      return lists.bounds(limits_);
    };
    bool kept = false;
    const auto take = [&] {
      const bool complete = all_matched<std::int32_t>(lists.column_of());
      if (kept && !complete) return;
      kept = complete;
      std::ranges::fill(result_.sigma, -1);
      store<double, std::int32_t>(lists.column_of(), lists.f(), lists.g(), exchanged_, result_);
    };
    const AuctionEnd end = run(lists, begin(false));
    if (!is_answer(end, lists.column_of())) {
      take();
      if (!square_) begin(true);
      const AuctionBounds bounds = follow();
      take();
      const double allowed = std::max(options_.max_gap, 1e-9) * std::fabs(bounds.primal);
      if (square_ && bounds.complete && bounds.primal - bounds.dual > allowed) {  // as in solve_stored()
        begin(true);
        follow();
      }
    }
    double zero = 0;
    if (end == AuctionEnd::within_unit) {
      zero = round_to_whole(g);
      lists.bounds(limits_);
    }
    take();
    lift(zero);
  }

  // Takes `zero`, what the potential 0 has become, off the larger side's potentials.
  void lift(double zero) {
    add(exchanged_ ? result_.g : result_.f, zero);
    add(exchanged_ ? result_.f : result_.g, -zero);
  }

  void solve_exactly_after_all() {
    solve_exactly();
    add(exchanged_ ? result_.g : result_.f, -static_cast<double>(least_));
  }

  const PreparedProblem& prepared_;
  const Problem& problem_;
  const AuctionOptions& options_;
  const SolveLimits& limits_;
  Scratch& scratch_;
  Assignment& result_;
  const bool exchanged_, square_;
  const std::int64_t rows_, columns_;
  AuctionPlan plan_;
  IntegerRange range_;
  std::int64_t least_ = 0;  // whole costs: what is taken off all of them
  AuctionBounds found_;
};

// Searching blocks of points wins over whole rows of costs in few dimensions, fewer where float32 rows serve the gap,
// and is all there is where rows do not fit.
bool coarse_to_fine(const Problem& problem, double max_gap) {
  constexpr std::int64_t kLeast = 128, kRowsPerDimension = 40;
  const std::int64_t n = problem.n(), d = problem.dimension();
  if (problem.has_matrix || n != problem.m() || d == 0 || n < kLeast) return false;
  if (n > kMostStored / n) return true;
  return d * kRowsPerDimension <= n && (max_gap < kFloatGap || d < kRowsFromDimension);
}

void solve_prepared(const PreparedProblem& prepared, const AuctionOptions& options, const SolveLimits& limits,
                    Scratch& scratch, Assignment& result) {
  const Problem& problem = prepared.problem();
  const std::int64_t n = problem.n();
  bool complete = false;
  if (coarse_to_fine(problem, options.max_gap)) {
    result.algorithm = "auction, multilevel";
    scratch.g.assign(options.warm_start.begin(), options.warm_start.end());
    for (double& value : scratch.g) value = prepared.scaled().forth(value);
    const bool fits = n <= kMostStored / n;
    const std::int64_t budget = fits ? MultilevelAssignment::usual_budget(n) : std::numeric_limits<std::int64_t>::max();
    complete =
        scratch.multilevel.solve_to_gap(problem, options.max_gap, scratch.g, budget, limits, options.threads, result);
    if (complete && (!fits || is_sharp(problem, result))) return;
  }
  const auto by_rows = [&] {
    result.algorithm = "auction";
    RowSolver(prepared, options, limits, scratch, result).solve();
  };
  if (complete) return solve_again(result, by_rows);
  forget(result);
  by_rows();
}

void check_options(const Problem& problem, const AuctionOptions& options) {
  if (!(options.max_gap >= 0)) throw InputError(fmt::format("max_gap is {}: it must not be negative", options.max_gap));
  const std::int64_t m = problem.m();
  if (!options.warm_start.empty() && static_cast<std::int64_t>(options.warm_start.size()) != m)
    throw InputError(fmt::format("warm_start has {} entries for {} columns", options.warm_start.size(), m));
  for (const double value : options.warm_start)
    if (!std::isfinite(value)) throw InputError(fmt::format("warm_start has an entry that is {}", value));
}

void solve_one(const Problem& problem, const AuctionOptions& options, const SolveLimits& limits, Scratch& scratch,
               Assignment& result) {
  check_options(problem, options);
  const host::ThreadLimit thread_limit(options.threads);
  naming_memory([&] { return "the auction of " + describe(problem); },
                [&] {
                  solve_and_prove(scratch.prepared, problem, options.check_input,
                                  {.certify = options.certify, .max_gap = options.max_gap, .threads = options.threads},
                                  limits, result, [&](const PreparedProblem& prepared, const SolveLimits& until) {
                                    solve_prepared(prepared, options, until, scratch, result);
                                  });
                });
}

}  // namespace

struct AuctionWorkspace::State {
  HostVector<Scratch> scratch;  // one a thread
};

AuctionWorkspace::AuctionWorkspace() : state_(std::make_unique<State>()) {}
AuctionWorkspace::~AuctionWorkspace() = default;
AuctionWorkspace::AuctionWorkspace(AuctionWorkspace&&) noexcept = default;
AuctionWorkspace& AuctionWorkspace::operator=(AuctionWorkspace&&) noexcept = default;

void solve_auction(const Problem& problem, const AuctionOptions& options, AuctionWorkspace& workspace,
                   Assignment& result) {
  auto& scratch = workspace.state().scratch;
  naming_memory([&] { return "the auction of " + describe(problem); },
                [&] {
                  if (scratch.empty()) scratch.resize(1);
                });
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  solve_one(problem, options, limits, scratch[0], result);
}

Assignment solve_auction(const Problem& problem, const AuctionOptions& options) {
  AuctionWorkspace workspace;
  Assignment result;
  solve_auction(problem, options, workspace, result);
  return result;
}

void solve_auction_batch(std::span<const Problem> problems, const AuctionOptions& options, AuctionWorkspace& workspace,
                         std::span<Assignment> results) {
  AuctionOptions each = options;
  each.threads = 1;
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  solve_batch("solve_auction_batch", problems, results, options.threads, workspace.state().scratch,
              [&](const Problem& problem, Scratch& scratch, Assignment& result) {
                solve_one(problem, each, limits.remaining(0), scratch, result);
              });
}

}  // namespace otnfm
