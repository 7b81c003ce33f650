#include "ot/device_auction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/auction_lists.h"
#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "kernels/matmul.h"
#include "kernels/memory.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/costs/cost_columns.h"
#include "ot/costs/float_costs.h"
#include "ot/costs/widen.h"
#include "ot/matching/epsilon_scaling.h"
#include "ot/matching/proven_solve.h"
#include "ot/matching/short_list_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr int kMostPhases = 12;
constexpr int kRoundsBetweenReads = 8;
constexpr std::int64_t kLargestCost = std::int64_t{1} << 30;  // as a whole number
constexpr std::int64_t kStoredFromDimension = 17;  // below, a scan computes costs as fast as it would read them
constexpr std::int64_t kMayStayFree = 128;         // one row in so many, in a phase that is not the last
constexpr std::int64_t kMostRounds = 2000;         // of a phase
constexpr std::int64_t kDeviceList = 40;
constexpr std::int64_t kTail = 8;  // one row in so many free: each is scanned again and again, so rows keep lists
constexpr std::int64_t kNever = std::int64_t{1} << 62;  // an epsilon that gives nothing up

/// An array on the stream's device.
template <class T>
class DeviceVector {
 public:
  DeviceVector(Stream& stream, std::int64_t n, const char* purpose)
      : stream_(stream), n_(n), memory_(stream.device(), static_cast<std::size_t>(n) * sizeof(T), purpose) {}

  View<T> view() const { return first(n_); }
  View<T> first(std::int64_t n) const { return View<T>(data(), {n}); }
  View<T> matrix(std::int64_t rows, std::int64_t columns) const { return View<T>(data(), {rows, columns}); }

  void upload(const T* from) { copy_bytes(stream_, memory_.data(), from, bytes()); }
  HostVector<T> download() const {
    HostVector<T> values(static_cast<std::size_t>(n_));
    copy_bytes(stream_, values.data(), memory_.data(), bytes());
    stream_.synchronize();
    return values;
  }

 private:
  T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  std::size_t bytes() const { return static_cast<std::size_t>(n_) * sizeof(T); }

  Stream& stream_;
  std::int64_t n_;
  Memory memory_;
};

void require_fit(const Problem& problem, const DeviceAuctionOptions& options) {
  if (!device_auction_takes(problem))
    throw InputError(
        "the device's auction takes as many rows as columns, of float32 costs or of float32 points and "
        "squared_euclidean, not " +
        describe(problem));
  if (!(options.max_gap > 0)) throw InputError(fmt::format("max_gap is {}: it must be positive", options.max_gap));
  if (!options.warm_start.empty() && static_cast<std::int64_t>(options.warm_start.size()) != problem.m())
    throw InputError(fmt::format("warm_start has {} entries for {} columns", options.warm_start.size(), problem.m()));
  for (const double value : options.warm_start)
    if (!std::isfinite(value)) throw InputError(fmt::format("warm_start has an entry that is {}", value));
}

HostVector<float> packed(const AnyMatrix& matrix) {
  HostVector<float> values(static_cast<std::size_t>(matrix.rows * matrix.columns));
  for (std::int64_t i = 0; i < matrix.rows; ++i)
    std::copy_n(static_cast<const float*>(matrix.data) + i * matrix.row_stride, matrix.columns,
                values.begin() + i * matrix.columns);
  return values;
}

/// The largest |row - centre|.
double radius(std::span<const float> points, std::int64_t d, std::span<const double> centre) {
  double largest = 0;
  for (std::size_t i = 0; i < points.size(); i += static_cast<std::size_t>(d)) {
    double square = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(d); ++k) {
      const double difference = points[i + k] - centre[k];
      square += difference * difference;
    }
    largest = std::max(largest, square);
  }
  return std::sqrt(largest);
}

class Solver {
 public:
  Solver(Stream& stream, const Problem& problem, const DeviceAuctionOptions& options, const SolveLimits& limits,
         Assignment& result)
      : stream_(stream),
        problem_(problem),
        options_(options),
        limits_(limits),
        result_(result),
        n_(problem.n()),
        stored_(problem.has_matrix || (problem.dimension() >= kStoredFromDimension &&
                                       n_ <= options.max_stored_bytes / 4 / std::max<std::int64_t>(1, n_))),
        x_(stream, problem.has_matrix ? 0 : n_ * problem.dimension(), "the source points"),
        y_(stream, problem.has_matrix ? 0 : n_ * problem.dimension(), "the target points"),
        costs_(stream, stored_ ? n_ * n_ : 0, "the costs"),
        price_(stream, n_, "prices"),
        first_(stream, n_, "least values"),
        second_(stream, n_, "second values"),
        value_(stream, n_, "values"),
        bids_(stream, n_, "bids"),
        owner_(stream, n_, "columns' rows"),
        column_of_(stream, n_, "rows' columns"),
        column_(stream, n_, "best columns"),
        free_rows_(stream, n_, "free rows"),
        all_rows_(stream, n_, "all rows"),
        free_count_(stream, 1, "a count"),
        all_count_(stream, 1, "a count"),
        list_columns_(stream, n_ * kAuctionListLength, "lists of near columns"),
        list_beyond_(stream, n_, "lists' bounds") {}

  void solve() {
    load();
    start();
    auto epsilon = std::max<std::int64_t>(1, static_cast<std::int64_t>(spread() * scale_));
    for (int phase = 0; phase < kMostPhases; ++phase) {
      run_rounds(epsilon, n_ / kMayStayFree);
      Gap gap = measure();
      const double allowed = options_.max_gap * std::fabs(gap.primal) - rounding_;
      if (limits_.reached(rounds_)) {
        result_.status = SolveStatus::iteration_limit;
        return store();
      }
      if (!(allowed > rounding_)) return leave_to_host({});
      if (gap.excess <= 0.9 * allowed) {
        // Near enough: the rows left are matched within the same epsilon.
        run_rounds(epsilon, 0);
        if (free_ > 0 && !limits_.reached(rounds_)) finish_on_host();
        gap = measure();
        if (free_ > 0) {
          result_.status = SolveStatus::iteration_limit;
          return store();
        }
        if (gap.excess <= options_.max_gap * std::fabs(gap.primal) - rounding_) return store();
      }
      if (epsilon == 1) return leave_to_host(potentials());
      const double enough = gap.excess > 0 ? 0.8 * static_cast<double>(epsilon) * allowed / gap.excess : 0;
      const double next =
          std::max(kEpsilonRatio * static_cast<double>(epsilon), std::min(enough, 0.5 * static_cast<double>(epsilon)));
      epsilon = std::max<std::int64_t>(1, static_cast<std::int64_t>(next));
      check(epsilon);
    }
    leave_to_host(potentials());
  }

 private:
  struct Gap {
    double primal = 0;  ///< mean cost of the matched rows, times n
    double excess = 0;  ///< of the matched rows above their least, times n over the matched
  };

  void load() {
    if (problem_.has_matrix) {
      const HostVector<float> costs = packed(problem_.costs);
      costs_.upload(costs.data());
      set_scale(largest_size(costs));
      stream_.synchronize();
      return;
    }
    const std::int64_t d = problem_.dimension();
    if (stored_) {
      FloatCosts product;
      product.prepare(problem_, false);
      x_.upload(product.source().data());
      y_.upload(product.target().data());
      DeviceVector<float> bias(stream_, n_, "a bias");
      bias.upload(product.bias().data());
      matmul(stream_, {.a = x_.matrix(n_, d),
                       .b = y_.matrix(n_, d),
                       .c = costs_.matrix(n_, n_),
                       .transpose_b = true,
                       .bias = bias.view()});
      stream_.synchronize();
      offsets_.assign(product.offsets().begin(), product.offsets().end());
      offset_sum_ = product.offset_sum();
      const HostVector<double> origin(static_cast<std::size_t>(d), 0.0);
      // The source's factor is -2 x.
      const double source = radius(product.source(), d, origin), target = radius(product.target(), d, origin);
      set_scale(target * (target + source));
      rounding_ += product.rounding();
      return;
    }
    const HostVector<float> x = packed(problem_.source), y = packed(problem_.target);
    x_.upload(x.data());
    y_.upload(y.data());
    HostVector<double> centre(static_cast<std::size_t>(d), 0.0);
    for (std::size_t k = 0; k < y.size(); ++k)
      centre[k % static_cast<std::size_t>(d)] += static_cast<double>(y[k]) / static_cast<double>(n_);
    const double reach = d > 0 ? radius(x, d, centre) + radius(y, d, centre) : 0;
    set_scale(reach * reach);
    // The differences and their squares are each rounded once or twice.
    rounding_ += static_cast<double>(n_) * reach * reach * 4 * std::numeric_limits<float>::epsilon();
    stream_.synchronize();
  }

  // A power of 2, so that scaling rounds nothing, and costs fill 30 bits. Rounding them to whole numbers is half a
  // unit, of a row's own cost and of its least one.
  void set_scale(double largest) {
    const double exponent =
        largest > 0 ? std::clamp(std::floor(std::log2(static_cast<double>(kLargestCost) / largest)), -120.0, 120.0) : 0;
    scale_ = std::exp2(exponent);
    rounding_ = static_cast<double>(n_) / scale_;
  }

  void start() {
    const auto size = static_cast<std::size_t>(n_);
    HostVector<std::int32_t> rows(size);
    for (std::size_t i = 0; i < size; ++i) rows[i] = static_cast<std::int32_t>(i);
    const auto count = static_cast<std::int32_t>(n_);
    const HostVector<std::int32_t> none(size, -1);
    const HostVector<std::uint64_t> no_bids(size, 0);
    all_rows_.upload(rows.data());
    all_count_.upload(&count);
    owner_.upload(none.data());
    column_of_.upload(none.data());
    bids_.upload(no_bids.data());
    forget_lists();
    prices_.assign(size, 0);
    price_.upload(prices_.data());
    // Beyond 2^40 of a cost's 2^30 a warm start says nothing.
    constexpr double kMostPrice = 1099511627776.0;
    HostVector<std::int64_t> warm(size, 0);
    for (std::size_t j = 0; j < options_.warm_start.size(); ++j)
      warm[j] = static_cast<std::int64_t>(std::clamp(-options_.warm_start[j] * scale_, -kMostPrice, kMostPrice));
    stream_.synchronize();
    free_ = n_;
    if (options_.warm_start.empty()) return;
    // One that proves less than no potentials at all is worse than none.
    const double without = dual();
    price_.upload(warm.data());
    prices_.swap(warm);
    if (dual() > without) return;
    prices_.swap(warm);
    price_.upload(prices_.data());
    stream_.synchronize();
  }

  // The sum of the rows' least values less the prices.
  double dual() {
    scan(all_rows_.view(), all_count_.view());
    long double sum = 0;
    for (const std::int64_t least : first_.download()) sum += static_cast<long double>(least);
    for (const std::int64_t price : prices_) sum -= static_cast<long double>(price);
    return static_cast<double>(sum);
  }

  // A first epsilon: the median over some rows of how far the nearest 40 of n columns are spread, from a sample.
  double spread() const {
    constexpr std::int64_t kRows = 32, kColumns = 4096;
    CostRows costs;
    costs.reset(problem_, false);
    const std::int64_t step = std::max<std::int64_t>(1, n_ / kColumns),
                       row_step = std::max<std::int64_t>(1, n_ / kRows);
    HostVector<double> sample, spreads;
    for (std::int64_t i = 0; i < n_; i += row_step) {
      sample.clear();
      for (std::int64_t j = 0; j < n_; j += step) {
        const double g = options_.warm_start.empty() ? 0 : options_.warm_start[static_cast<std::size_t>(j)];
        sample.push_back(costs.at(i, j) - g);
      }
      const auto near = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(sample.size()) - 1,
                                                 std::max<std::ptrdiff_t>(1, kDeviceList / step));
      std::nth_element(sample.begin(), sample.begin() + near, sample.end());
      spreads.push_back(sample[static_cast<std::size_t>(near)] -
                        *std::min_element(sample.begin(), sample.begin() + near + 1));
    }
    std::nth_element(spreads.begin(), spreads.begin() + static_cast<std::ptrdiff_t>(spreads.size() / 2), spreads.end());
    return std::min(spreads[spreads.size() / 2], static_cast<double>(kLargestCost) / scale_);
  }

  void scan(const View<const std::int32_t>& rows, const View<const std::int32_t>& count) {
    const std::int64_t k = rows.shape[0];
    const AuctionRows to{rows, count, column_.first(k), first_.first(k), second_.first(k)};
    if (stored_)
      auction_scan_stored(stream_, {costs_.matrix(n_, n_), static_cast<float>(scale_), price_.view(), to});
    else
      auction_scan_points(stream_, {x_.matrix(n_, problem_.dimension()), y_.matrix(n_, problem_.dimension()),
                                    static_cast<float>(scale_), price_.view(), to});
  }

  // As scan, for rows that are all different.
  void rescan(const View<const std::int32_t>& rows, const View<const std::int32_t>& count) {
    const std::int64_t k = rows.shape[0];
    const AuctionRows to{rows, count, column_.first(k), first_.first(k), second_.first(k)};
    const AuctionLists lists{list_columns_.matrix(n_, kAuctionListLength), list_beyond_.view()};
    if (stored_)
      auction_rescan_stored(stream_, {costs_.matrix(n_, n_), static_cast<float>(scale_), price_.view(), lists, to});
    else
      auction_rescan_points(stream_, {x_.matrix(n_, problem_.dimension()), y_.matrix(n_, problem_.dimension()),
                                      static_cast<float>(scale_), price_.view(), lists, to});
  }

  // Where prices were set, and not raised.
  void forget_lists() {
    list_beyond_.upload(HostVector<std::int64_t>(static_cast<std::size_t>(n_), kNoList).data());
    stream_.synchronize();
  }

  void check(std::int64_t epsilon) {
    const AuctionCheck to{price_.view(), first_.view(), epsilon, column_of_.view(), owner_.view(), value_.view()};
    if (stored_)
      auction_check_stored(stream_, {costs_.matrix(n_, n_), static_cast<float>(scale_), to});
    else
      auction_check_points(stream_, {x_.matrix(n_, problem_.dimension()), y_.matrix(n_, problem_.dimension()),
                                     static_cast<float>(scale_), to});
  }

  // Until at most `may_stay_free` rows have no column, the phase has had its rounds, or a limit is reached.
  void run_rounds(std::int64_t epsilon, std::int64_t may_stay_free) {
    const auto list = [&] { auction_list(stream_, {column_of_.view(), free_rows_.view(), free_count_.view()}); };
    list();
    free_ = free_count_.download()[0];
    std::int64_t rounds = 0;
    while (free_ > may_stay_free && rounds < kMostRounds && !limits_.reached(rounds_)) {
      const View<std::int32_t> rows = free_rows_.first(free_);
      for (int round = 0; round < kRoundsBetweenReads; ++round, ++rounds, ++rounds_) {
        if (free_ * kTail <= n_)
          rescan(rows, free_count_.view());
        else
          scan(rows, free_count_.view());
        auction_bid(stream_, {rows, free_count_.view(), column_.first(free_), first_.first(free_), second_.first(free_),
                              epsilon, bids_.view()});
        auction_assign(stream_, {bids_.view(), price_.view(), owner_.view(), column_of_.view()});
        list();
      }
      free_ = free_count_.download()[0];
    }
  }

  Gap measure() {
    scan(all_rows_.view(), all_count_.view());
    check(kNever);
    least_ = first_.download();
    prices_ = price_.download();
    matched_ = column_of_.download();
    const HostVector<std::int64_t> value = value_.download();
    double cost = 0, excess = 0, matched = 0;
    for (std::size_t i = 0; i < matched_.size(); ++i) {
      if (matched_[i] < 0) continue;
      matched += 1;
      cost += static_cast<double>(value[i] - prices_[static_cast<std::size_t>(matched_[i])]);
      excess += static_cast<double>(value[i] - least_[i]);
    }
    const double whole = matched > 0 ? static_cast<double>(n_) / matched / scale_ : 0;
    return {cost * whole + offset_sum_, excess * whole};
  }

  // Shortest augmenting paths for the rows that are left, from the device's prices and matches; the prices go back.
  void finish_on_host() {
    measure();
    HostVector<double> g = potentials(), costs(static_cast<std::size_t>(n_), 0.0);
    CostColumns columns;
    columns.reset(problem_, false, 0, 0);
    columns.use(g);
    CostRows exact;
    exact.reset(problem_, false);
    for (std::int64_t i = 0; i < n_; ++i)
      if (const std::int32_t j = matched_[static_cast<std::size_t>(i)]; j >= 0)
        costs[static_cast<std::size_t>(i)] = exact.at(i, j);
    ShortListAssignment paths;
    paths.reset(n_, g, columns, kDeviceList);
    paths.adopt(matched_, costs);
    paths.solve(limits_.without_iterations());
    HostVector<std::int32_t> owner(static_cast<std::size_t>(n_), -1);
    free_ = 0;
    for (std::size_t i = 0; i < owner.size(); ++i) {
      const std::int32_t j = paths.column_of()[i];
      if (j >= 0)
        owner[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(i);
      else
        ++free_;
    }
    for (std::size_t j = 0; j < g.size(); ++j) prices_[j] = std::llround(-g[j] * scale_);
    column_of_.upload(paths.column_of().data());
    owner_.upload(owner.data());
    price_.upload(prices_.data());
    forget_lists();
  }

  void store() {
    for (std::size_t i = 0; i < matched_.size(); ++i) {
      result_.sigma[i] = matched_[i];
      result_.f[i] = static_cast<double>(least_[i]) / scale_ + (offsets_.empty() ? 0 : offsets_[i]);
      result_.g[i] = -static_cast<double>(prices_[i]) / scale_;
    }
    result_.iterations = rounds_;
  }

  HostVector<double> potentials() const {
    HostVector<double> g(prices_.size());
    for (std::size_t j = 0; j < g.size(); ++j) g[j] = -static_cast<double>(prices_[j]) / scale_;
    return g;
  }

  // From nothing where the prices are no nearer to the answer than their rounding.
  void leave_to_host(const HostVector<double>& g) {
    AuctionOptions options;
    options.max_gap = options_.max_gap;
    options.certify = options.check_input = false;
    options.watch = [this](const SolveProgress&) { return !limits_.out_of_time(); };
    options.max_seconds = std::max(0.0, limits_.seconds_left());
    options.warm_start = g;
    result_ = solve_auction(problem_, options);
    if (result_.status == SolveStatus::interrupted || result_.status == SolveStatus::time_limit)
      result_.status = limits_.status();
    result_.iterations = rounds_;
    result_.algorithm = "auction on the device, ended on the host";
  }

  Stream& stream_;
  const Problem& problem_;
  const DeviceAuctionOptions& options_;
  const SolveLimits& limits_;
  Assignment& result_;
  const std::int64_t n_;
  const bool stored_;
  DeviceVector<float> x_, y_, costs_;
  DeviceVector<std::int64_t> price_, first_, second_, value_;
  DeviceVector<std::uint64_t> bids_;
  DeviceVector<std::int32_t> owner_, column_of_, column_, free_rows_, all_rows_, free_count_, all_count_, list_columns_;
  DeviceVector<std::int64_t> list_beyond_;
  double scale_ = 1, rounding_ = 0, offset_sum_ = 0;
  HostVector<double> offsets_;
  HostVector<std::int64_t> least_, prices_;
  HostVector<std::int32_t> matched_;
  std::int64_t free_ = 0, rounds_ = 0;
};

}  // namespace

bool device_auction_takes(const Problem& problem) {
  return problem.n() == problem.m() && problem.dtype() == DType::float32 &&
         (problem.has_matrix || problem.cost == Cost::squared_euclidean);
}

Assignment solve_auction(Stream& stream, const Problem& problem, const DeviceAuctionOptions& options) {
  require_fit(problem, options);
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  Assignment result;
  try {
    if (options.check_input) check_finite(problem, &limits);
  } catch (const SolveStopped&) {
    result.status = limits.status();
  }
  const std::int64_t n = problem.n();
  result.algorithm = "auction on the device";
  naming_memory([&] { return "the auction of " + describe(problem); },
                [&] {
                  assign_result(result.sigma, n, std::int64_t{-1});
                  assign_result(result.f, n, -std::numeric_limits<double>::infinity());
                  assign_result(result.g, n, 0.0);
                  if (n > 0 && result.status == SolveStatus::converged)
                    Solver(stream, problem, options, limits, result).solve();
                  if (result.status == SolveStatus::iteration_limit) result.status = limits.status();
                  complete_pairing(problem, result.g, limits, result.sigma);
                });
  result.seconds = limits.seconds();
  if (options.certify) prove(problem, {.max_gap = options.max_gap}, limits, result);
  return result;
}

}  // namespace otnfm
