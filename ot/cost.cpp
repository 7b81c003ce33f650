#include "ot/cost.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

double to_double(float value) {
  return value;
}
double to_double(double value) {
  return value;
}
double to_double(bfloat16 value) {
  return static_cast<float>(value);
}

// True where there is an entry of +infinity, which `forbidding` lets pass.
template <class T>
bool check_entries(const AnyMatrix& matrix, const char* name, bool forbidding) {
  bool forbids = false;
  const T* data = static_cast<const T*>(matrix.data);
  for (std::int64_t i = 0; i < matrix.rows; ++i) {
    const T* row = data + i * matrix.row_stride;
    // x - x is 0 for finite x and NaN otherwise: one vectorised sum a row, and a search only where it is not 0.
    double residue = 0;
    for (std::int64_t j = 0; j < matrix.columns; ++j) residue += to_double(row[j]) - to_double(row[j]);
    if (residue == 0) continue;
    for (std::int64_t j = 0; j < matrix.columns; ++j) {
      const double value = to_double(row[j]);
      if (std::isfinite(value)) continue;
      if (!(forbidding && value > 0))
        throw InputError(fmt::format("{} holds {} at [{}, {}]; every entry must be finite{}", name, value, i, j,
                                     forbidding ? ", or inf where a pair is forbidden" : ""));
      forbids = true;
    }
  }
  return forbids;
}

bool check_matrix(const AnyMatrix& matrix, const char* name, bool forbidding = false) {
  switch (matrix.dtype) {
    case DType::float32:
      return check_entries<float>(matrix, name, forbidding);
    case DType::float64:
      return check_entries<double>(matrix, name, forbidding);
    case DType::bfloat16:
      return check_entries<bfloat16>(matrix, name, forbidding);
    default:
      return false;  // integers are always finite
  }
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

void check_finite(const Problem& problem) {
  if (problem.has_matrix) {
    check_matrix(problem.costs, "costs");
  } else {
    check_matrix(problem.source, "source");
    check_matrix(problem.target, "target");
  }
}

bool check_entries(const Problem& problem) {
  if (problem.has_matrix) return check_matrix(problem.costs, "costs", true);
  check_finite(problem);
  return false;
}

}  // namespace otnfm
