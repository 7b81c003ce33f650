#include "ot/cost.h"

#include <fmt/format.h>

#include <atomic>
#include <cmath>

#include "kernels/check.h"
#include "kernels/error.h"
#include "ot/costs/fill_rows.h"
#include "ot/costs/infinity.h"
#include "ot/costs/widen.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

// True where there is an entry of +infinity, which `forbidding` lets pass.
template <class T>
bool check_matrix_of(const AnyMatrix& matrix, const char* name, bool forbidding, const SolveLimits* limits) {
  const auto row_of = [&](std::int64_t i) { return static_cast<const T*>(matrix.data) + i * matrix.row_stride; };
  std::atomic<bool> forbids = false;
  std::atomic<std::int64_t> wrong = matrix.rows;  // the first row with an entry that may not be
  read_rows(matrix.rows, matrix.columns, limits, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t i = first; i < first + count; ++i) {
      const T* row = row_of(i);
      // x - x is 0 for finite x and NaN otherwise: one sum a row, and a search only where it is not 0.
      double residue = 0;
#pragma omp simd reduction(+ : residue)
      for (std::int64_t j = 0; j < matrix.columns; ++j) residue += widen(row[j]) - widen(row[j]);
      if (residue == 0) continue;
      std::int64_t infinite = 0, others = 0;
#pragma omp simd reduction(+ : infinite, others)
      for (std::int64_t j = 0; j < matrix.columns; ++j) {
        const double value = widen(row[j]);
        infinite += value == kInfinity ? 1 : 0;
        others += value > -kInfinity ? 0 : 1;
      }
      if (infinite > 0) forbids.store(true, std::memory_order_relaxed);
      if (others == 0 && forbidding) continue;
      for (std::int64_t before = wrong.load(); i < before && !wrong.compare_exchange_weak(before, i);) {
      }
      break;  // those after it are not the first
    }
  });
  const std::int64_t i = wrong.load();
  if (i == matrix.rows) return forbids.load();
  std::int64_t j = 0;
  while (std::isfinite(widen(row_of(i)[j])) || (forbidding && widen(row_of(i)[j]) == kInfinity)) ++j;
  throw InputError(fmt::format("{} holds {} at [{}, {}]; every entry must be finite{}", name, widen(row_of(i)[j]), i, j,
                               forbidding ? ", or inf where a pair is forbidden" : ""));
}

bool check_matrix(const AnyMatrix& matrix, const char* name, bool forbidding, const SolveLimits* limits) {
  return with_element(matrix.dtype, [&](auto element) {
    using T = decltype(element);
    if constexpr (std::is_integral_v<T>)
      return false;  // always finite
    else
      return check_matrix_of<T>(matrix, name, forbidding, limits);
  });
}

}  // namespace

const char* name_of(Cost cost) {
  switch (cost) {
    case Cost::squared_euclidean:
      return "squared_euclidean";
    case Cost::euclidean:
      return "euclidean";
    case Cost::negative_dot:
      return "negative_dot";
  }
  return "unknown";
}

AnyMatrix::AnyMatrix(const void* pointer, DType type, int rank, const std::int64_t* shape, const std::int64_t* stride)
    : data(pointer), dtype(type) {
  const bool rows_contiguous =
      rank == 2 && (shape[1] <= 1 || stride[1] == 1) && (shape[0] <= 1 || stride[0] >= shape[1]);
  if (!rows_contiguous)
    throw InputError("a problem takes a matrix with contiguous rows, not " + describe(rank, shape, stride));
  if (shape[0] < 0 || shape[1] < 0 || (pointer == nullptr && shape[0] > 0 && shape[1] > 0))
    throw InputError("a problem takes a matrix with memory behind it, not " + describe(rank, shape, stride));
  rows = shape[0];
  columns = shape[1];
  row_stride = stride[0];
}

Problem Problem::from_points(AnyMatrix source, AnyMatrix target, Cost cost) {
  if (source.columns != target.columns)
    throw InputError(
        fmt::format("source has dimension {} and target {}: they must agree", source.columns, target.columns));
  if (source.dtype != target.dtype)
    throw InputError(
        fmt::format("source is {} and target {}: they must agree", name_of(source.dtype), name_of(target.dtype)));
  if (source.dtype != DType::float32 && source.dtype != DType::float64 && source.dtype != DType::bfloat16)
    throw InputError(fmt::format("points are {}: they must be float32, float64 or bfloat16", name_of(source.dtype)));
  Problem problem;
  problem.source = source;
  problem.target = target;
  problem.cost = cost;
  return problem;
}

Problem Problem::from_matrix(AnyMatrix costs) {
  if (costs.dtype != DType::float32 && costs.dtype != DType::float64 && costs.dtype != DType::int32 &&
      costs.dtype != DType::int64)
    throw InputError(fmt::format("costs are {}: they must be float32, float64, int32 or int64", name_of(costs.dtype)));
  Problem problem;
  problem.costs = costs;
  problem.has_matrix = true;
  return problem;
}

std::string describe(const Problem& problem) {
  if (problem.has_matrix) return fmt::format("{} x {} {} costs", problem.n(), problem.m(), name_of(problem.dtype()));
  return fmt::format("{} x {} {} points, d = {}, {}", problem.n(), problem.m(), name_of(problem.dtype()),
                     problem.dimension(), name_of(problem.cost));
}

void check_finite(const Problem& problem, const SolveLimits* limits) {
  if (problem.has_matrix) {
    check_matrix(problem.costs, "costs", false, limits);
  } else {
    check_matrix(problem.source, "source", false, limits);
    check_matrix(problem.target, "target", false, limits);
  }
}

bool check_entries(const Problem& problem, const SolveLimits* limits) {
  if (problem.has_matrix) return check_matrix(problem.costs, "costs", true, limits);
  check_finite(problem, limits);
  return false;
}

}  // namespace otnfm
