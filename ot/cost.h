// What an assignment problem is: two point clouds with a cost between points (never stored unless a solver chooses to),
// or a cost matrix. A Problem owns nothing; the views must outlive every call that takes it.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/dtype.h"
#include "kernels/view.h"

namespace otnfm {

/// The cost between a source point x and a target point y, each coordinate taken exactly as stored, arithmetic in
/// double.
enum class Cost : std::uint8_t {
  squared_euclidean,  ///< sum_k (x_k - y_k)^2
  euclidean,          ///< sqrt(sum_k (x_k - y_k)^2)
  negative_dot,       ///< -sum_k x_k y_k
};

const char* name_of(Cost cost);

/// A [rows, columns] matrix in memory, of any element type, rows contiguous.
struct AnyMatrix {
  const void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;  ///< in elements

  AnyMatrix() = default;

  /// From a rank-2 view; throws InputError where the rank is not 2, rows have gaps inside, or memory is missing.
  template <class T>
  AnyMatrix(const View<T>& view)  // NOLINT(google-explicit-constructor): a view is a matrix wherever one is taken
      : AnyMatrix(view.data, dtype_of<T>, view.rank, view.shape, view.stride) {}

 private:
  AnyMatrix(const void* pointer, DType type, int rank, const std::int64_t* shape, const std::int64_t* stride);
};

/// Point clouds or a cost matrix. Rows are sources (n), columns are targets (m).
struct Problem {
  AnyMatrix source;  ///< [n, d], float32, float64 or bfloat16; empty for a matrix problem
  AnyMatrix target;  ///< [m, d], the element type of `source`
  AnyMatrix costs;   ///< [n, m], float32, float64, int32 or int64; empty for a point problem
  Cost cost = Cost::squared_euclidean;
  bool has_matrix = false;

  /// Throws InputError where the clouds disagree in dimension or type, or the type is not a floating one.
  static Problem from_points(AnyMatrix source, AnyMatrix target, Cost cost = Cost::squared_euclidean);

  /// Throws InputError where the element type is not float32, float64, int32 or int64.
  static Problem from_matrix(AnyMatrix costs);

  std::int64_t n() const { return has_matrix ? costs.rows : source.rows; }
  std::int64_t m() const { return has_matrix ? costs.columns : target.rows; }
  std::int64_t dimension() const { return has_matrix ? 0 : source.columns; }
  DType dtype() const { return has_matrix ? costs.dtype : source.dtype; }
  bool integral() const { return has_matrix && (dtype() == DType::int32 || dtype() == DType::int64); }
};

/// "4096 x 4096 float32 points, d = 2, squared_euclidean".
std::string describe(const Problem& problem);

class SolveLimits;

/// Throws InputError that names the first NaN or infinite entry, where there is one; SolveStopped where `limits` (null:
/// none) are overdue before all are seen.
void check_finite(const Problem& problem, const SolveLimits* limits = nullptr);

/// The same for a solver that takes forbidden pairs: costs of +infinity in a matrix. True where there are any. Throws
/// InputError for every other entry that is not finite.
bool check_entries(const Problem& problem, const SolveLimits* limits = nullptr);

}  // namespace otnfm
