// The planner of the transport solvers: the command `couple`, the couplings of training and the C interface all go
// through it. It picks regime and device, solves one problem or a stack, and returns pairs with their certificate, and
// of a plan what it costs.
//
//     solver     pairs                                 host, one / a stack            the stream's GPU
//     exact      optimal; with weights an optimal plan ot/exact.h, ot/transport.h     -
//     auction    within max_gap                        ot/auction.h                   ot/device_auction.h
//     sinkhorn   from the plan of least regularised    ot/sinkhorn.h                  ot/device_sinkhorn.h, for
//                cost: permutation, argmax or sampled                                 permutations
//
// A stack's problems are solved side by side: on the host a thread a problem, on a GPU a stream a problem, some at
// once.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/stream.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/sinkhorn.h"
#include "ot/sinkhorn_plan.h"
#include "ot/solve_limits.h"

namespace otnfm {

enum class TransportSolver : std::uint8_t { exact, auction, sinkhorn };

/// What of Sinkhorn's plan becomes pairs.
enum class PlanPairs : std::uint8_t {
  automatic,    ///< a permutation where there is one: n = m, no weights, fixed marginals; else argmax
  permutation,  ///< within max_gap of the optimum, by the plan's potentials
  argmax,       ///< each row's likeliest column
  sampled,      ///< a column drawn for each row
};

struct TransportSolverEntry {
  const char* name;
  const char* about;
  TransportSolver value;
};
/// In the order of the enumeration: for --help and for errors.
std::span<const TransportSolverEntry> transport_solvers();
const char* name_of(TransportSolver solver);

/// What `regime` may be: of exact with weights "automatic" alone.
std::vector<std::string> regimes_of(TransportSolver solver);

struct PlanPairsEntry {
  const char* name;
  const char* about;
  PlanPairs value;
};
std::span<const PlanPairsEntry> plan_pairs();
const char* name_of(PlanPairs pairs);

/// A regime's name is of the solver it belongs to: ExactAlgorithm's of exact, SinkhornRegime's of sinkhorn.
struct SolveOptions {
  TransportSolver solver = TransportSolver::exact;
  std::string regime = "automatic";
  bool certify = true;      ///< a pass over all pairs; without it bound and gap are NaN
  bool costs = true;        ///< of the pairs, without `certify` too; else, for pairs alone, they are NaN
  bool check_input = true;  ///< refuse NaN and infinite entries but forbidden pairs; else they are undefined behaviour
  int threads = 0;          ///< of the host, 0: host::thread_count()
  double max_seconds = SolveLimits::kNoSeconds;              ///< for all problems together, proofs too
  std::int64_t max_iterations = SolveLimits::kNoIterations;  ///< of each problem: paths, bids, pivots; sinkhorn's: 2000
  SolveWatch watch = {};                                     ///< called for one problem at a time, and ends them all
  std::optional<double> max_gap = {};  ///< relative; by default 1e-6 of the auction, 1e-3 of sinkhorn's permutation
  /// [m] column potentials of each problem, for auction and sinkhorn.
  std::span<const double> warm_start = {};
  /// [n] and [m], masses of each problem: for exact (ot/transport.h) and sinkhorn.
  std::span<const double> source_weights = {}, target_weights = {};
  /// What the stream's GPU cannot do is an error; else the host does it.
  bool require_device = false;

  // Of sinkhorn: see SinkhornOptions.
  double epsilon = SinkhornOptions{}.epsilon;
  EpsilonUnit unit = SinkhornOptions{}.unit;
  double tolerance = SinkhornOptions{}.tolerance;
  double marginal_penalty = std::numeric_limits<double>::infinity();
  PlanPairs pairs = PlanPairs::automatic;
  std::uint64_t seed = 0, first_step = 0;  ///< of sampled pairs: problem b's depend on (seed, first_step + b) alone
};

/// An entry of a plan that is not 0.
struct PlanEntry {
  std::int64_t row = 0, column = 0;
  double mass = 0;
};

/// What sinkhorn found beside pairs.
struct EntropicPlan {
  PlanPairs pairs = PlanPairs::argmax;  ///< never automatic
  bool has_plan = false;                ///< else a failure or a limit came first, and of what follows only epsilon is
  double epsilon = 0, transport_cost = 0, entropic_cost = 0, mass = 0, rounding = 0;  ///< SinkhornResult's
  std::vector<double> f = {}, g = {};                                                 ///< the plan's potentials
  double pairs_cost = 0;  ///< mean cost of argmax or sampled pairs; NaN of a permutation
  std::optional<SinkhornPlan> plan = {};
};

/// What exact found for weights.
struct WeightedPlan {
  double mass = 0;                      ///< of the whole plan
  std::vector<PlanEntry> entries = {};  ///< by rows, and in a row by columns
};

/// Where there are no pairs at all, cost and gap are NaN.
struct Solution {
  /// The pairs; of a plan those that were asked for, the certificate then being the plan's but for is_permutation,
  /// which is of the pairs.
  Assignment assignment;
  Device device = Device::cpu;  ///< that solved it
  double marginal_error = 0;    ///< L1, of masses of sum 1
  std::string message;          ///< one line where the status is not converged
  bool certified = false;
  std::optional<EntropicPlan> entropic = {};  ///< of sinkhorn
  std::optional<WeightedPlan> weighted = {};  ///< of exact with weights
};

/// Memory that solves reuse. One call at a time may use it.
class SolveWorkspace {
 public:
  SolveWorkspace();
  ~SolveWorkspace();
  SolveWorkspace(SolveWorkspace&&) noexcept;
  SolveWorkspace& operator=(SolveWorkspace&&) noexcept;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// solutions[b] is problems[b]'s; the spans have the same length. The problems' views are in host memory, which must
/// stay valid while a solution's plan is used. Throws InputError for options that do not go together or with a problem,
/// and as the solvers do; RunError where memory does not suffice.
void solve(Stream& stream, std::span<const Problem> problems, const SolveOptions& options, SolveWorkspace& workspace,
           std::span<Solution> solutions);

Solution solve(Stream& stream, const Problem& problem, const SolveOptions& options = {});

}  // namespace otnfm
