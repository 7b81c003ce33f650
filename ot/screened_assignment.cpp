#include "ot/screened_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/matmul.h"
#include "ot/lanes.h"

namespace otnfm {
namespace {

constexpr std::int64_t kListLength = 12;
constexpr int kChunk = 16;

template <class T>
void widen_rows(const AnyMatrix& points, std::vector<double>& out) {
  out.resize(static_cast<std::size_t>(points.rows * points.columns));
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const T* row = static_cast<const T*>(points.data) + i * points.row_stride;
    double* to = out.data() + i * points.columns;
    for (std::int64_t k = 0; k < points.columns; ++k) {
      if constexpr (std::is_same_v<T, bfloat16>)
        to[k] = static_cast<float>(row[k]);
      else
        to[k] = row[k];
    }
  }
}

void widen(const AnyMatrix& points, std::vector<double>& out) {
  switch (points.dtype) {
    case DType::float32:
      return widen_rows<float>(points, out);
    case DType::bfloat16:
      return widen_rows<bfloat16>(points, out);
    default:
      return widen_rows<double>(points, out);
  }
}

double square_of(const float* x, std::int64_t d) {
  double sum = 0;
  for (std::int64_t k = 0; k < d; ++k) sum += static_cast<double>(x[k]) * x[k];
  return sum;
}

}  // namespace

bool ScreenedAssignment::takes(const Problem& problem) {
  return !problem.has_matrix && problem.n() == problem.m() && problem.dimension() > 0 &&
         problem.cost != Cost::euclidean;
}

// All costs in float, and how far they may be from the true ones.
bool ScreenedAssignment::screen(const Problem& problem) {
  const std::int64_t n = n_, d = dimension_;
  const auto size = static_cast<std::size_t>(n * d), rows = static_cast<std::size_t>(n);
  widen(problem.source, source_);
  widen(problem.target, target_);
  // A shift of both clouds adds to a row's or a column's costs alone where they are dot products; there it would have
  // to be undone, so those are taken as they are.
  const bool dot = kind_ == Cost::negative_dot;
  std::vector<double> centre(static_cast<std::size_t>(d), 0.0);
  if (!dot) {
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t k = 0; k < d; ++k)
        centre[static_cast<std::size_t>(k)] += target_[static_cast<std::size_t>(j * d + k)];
    for (double& c : centre) c /= static_cast<double>(n);
  }
  centred_source_.resize(size);
  centred_target_.resize(size);
  column_square_.resize(rows);
  row_square_.resize(rows);
  row_error_.resize(rows);
  double largest = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    float* to = centred_target_.data() + j * d;
    const double* from = target_.data() + j * d;
    for (std::int64_t k = 0; k < d; ++k) to[k] = static_cast<float>(from[k] - centre[static_cast<std::size_t>(k)]);
    const double square = square_of(to, d);
    largest = std::max(largest, square);
    column_square_[static_cast<std::size_t>(j)] = dot ? 0.0F : static_cast<float>(square);
  }
  const double error = static_cast<double>(d + 8) * 0x1p-24, longest = std::sqrt(largest);
  double largest_source = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    float* to = centred_source_.data() + i * d;
    const double* from = source_.data() + i * d;
    for (std::int64_t k = 0; k < d; ++k) to[k] = static_cast<float>(from[k] - centre[static_cast<std::size_t>(k)]);
    const double square = square_of(to, d);
    for (std::int64_t k = 0; k < d; ++k) to[k] *= dot ? -1.0F : -2.0F;
    row_square_[static_cast<std::size_t>(i)] = dot ? 0 : square;
    row_error_[static_cast<std::size_t>(i)] =
        error * (dot ? std::sqrt(square) * longest : 2 * std::sqrt(square) * longest + largest + square);
    largest_source = std::max(largest_source, square);
  }
  largest = std::max(largest, largest_source);
  // Beyond these, squares overflow, or what is small in a sum is lost below float's smallest numbers.
  if (!(largest < 1e36) || !(largest > 1e-30)) return false;
  screen_.resize(static_cast<std::size_t>(n * n));
  if (!stream_) stream_.emplace(Device::cpu);
  matmul(*stream_, Matmul{.a = View<const float>(centred_source_.data(), {n, d}),
                          .b = View<const float>(centred_target_.data(), {n, d}),
                          .c = View<float>(screen_.data(), {n, n}),
                          .transpose_b = true,
                          .bias = View<const float>(column_square_.data(), {n})});
  return true;
}

double ScreenedAssignment::cost(std::int64_t i, std::int64_t j) const {
  const double *x = source_.data() + i * dimension_, *y = target_.data() + j * dimension_;
  Lanes sums[4] = {};
  std::int64_t k = 0;
  for (; k + 4 * kLanes <= dimension_; k += 4 * kLanes)
    for (int v = 0; v < 4; ++v) {
      const Lanes a = load_lanes(x + k + v * kLanes), b = load_lanes(y + k + v * kLanes);
      if (kind_ == Cost::negative_dot) {
        sums[v] = multiply_add(Lanes{} - a, b, sums[v]);
      } else {
        const Lanes difference = a - b;
        sums[v] = multiply_add(difference, difference, sums[v]);
      }
    }
  const Lanes lanes = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  for (; k < dimension_; ++k) {
    const double difference = x[k] - y[k];
    sum += kind_ == Cost::negative_dot ? -x[k] * y[k] : difference * difference;
  }
  return sum;
}

// The least float reduced cost of each chunk of columns gives a threshold that k columns or more are at or below.
double ScreenedAssignment::nearest(std::int64_t row, std::int64_t k, std::vector<float>& reduced,
                                   std::vector<float>& least, std::vector<Arc>& arcs) const {
  const std::int64_t chunks = (n_ + kChunk - 1) / kChunk;
  reduced.resize(static_cast<std::size_t>(chunks * kChunk));
  least.resize(static_cast<std::size_t>(chunks));
  const float* screen = screen_.data() + row * n_;
  const double* g = g_.data();
  float* out = reduced.data();
  float size = 0;
  for (std::int64_t j = 0; j < n_; ++j) {
    const float potential = static_cast<float>(g[j]);
    out[j] = screen[j] - potential;
    const float magnitude = potential < 0 ? -potential : potential;
    size = magnitude > size ? magnitude : size;
  }
  std::fill(reduced.begin() + n_, reduced.end(), std::numeric_limits<float>::infinity());
  for (std::int64_t c = 0; c < chunks; ++c) {
    float best = out[c * kChunk];
    for (int j = 1; j < kChunk; ++j) best = out[c * kChunk + j] < best ? out[c * kChunk + j] : best;
    least[static_cast<std::size_t>(c)] = best;
  }
  arcs.clear();
  float threshold = std::numeric_limits<float>::infinity();
  if (k < n_) {
    if (k > chunks) least.assign(out, out + n_);
    std::nth_element(least.begin(), least.begin() + (k - 1), least.end());
    threshold = least[static_cast<std::size_t>(k - 1)];
  }
  for (std::int64_t c = 0; c < chunks; ++c) {
    bool any = false;
    for (int j = 0; j < kChunk; ++j) any |= out[c * kChunk + j] <= threshold;
    if (!any) continue;
    for (std::int64_t j = c * kChunk; j < std::min(n_, (c + 1) * kChunk); ++j)
      if (out[j] <= threshold) arcs.push_back({cost(row, j), static_cast<std::int32_t>(j)});
  }
  if (static_cast<std::int64_t>(arcs.size()) == n_) return std::numeric_limits<double>::infinity();
  // The rounding of g and of the difference.
  const double rounding = 0x1p-23 * (static_cast<double>(size) + std::abs(static_cast<double>(threshold)));
  const auto i = static_cast<std::size_t>(row);
  return static_cast<double>(threshold) + row_square_[i] - row_error_[i] - rounding;
}

bool ScreenedAssignment::solve(const Problem& problem, const SolveLimits& limits, int threads, Assignment& result) {
  kind_ = problem.cost;
  n_ = problem.n();
  dimension_ = problem.dimension();
  if (!screen(problem)) return false;
  result.iterations = dense_.solve(screen_.data(), n_, n_, limits);
  g_.resize(static_cast<std::size_t>(n_));
  std::copy(dense_.v().begin(), dense_.v().end(), g_.begin());
  ScreenedColumns columns(*this);
  const std::int64_t k = std::min(n_, kListLength);
  assignment_.reset(n_, g_, columns, k);
  const int wanted = threads > 0 ? threads : cpu::thread_count();
#pragma omp parallel num_threads(wanted) if (wanted > 1 && n_ >= 256)
  {
    std::vector<float> reduced, least;
    std::vector<Arc> arcs;
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < n_; ++i) {
      const double bound = nearest(i, k, reduced, least, arcs);
#pragma omp critical(otnfm_screened_list)
      assignment_.set_list(i, arcs, bound);
    }
  }
  const SolveLimits rest = limits.remaining(result.iterations);
  assignment_.initialise(rest);
  if (!assignment_.solve(rest)) result.status = SolveStatus::iteration_limit;
  result.iterations += assignment_.paths();
  for (std::size_t i = 0; i < static_cast<std::size_t>(n_); ++i) {
    result.sigma[i] = assignment_.column_of()[i];
    result.f[i] = assignment_.f()[i];
    result.g[i] = g_[i];
  }
  return true;
}

}  // namespace otnfm
