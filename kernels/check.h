// The checks that every op makes of its arguments, once, before it dispatches. They throw InputError with the op's
// name, the argument's name and the offending shape.
#pragma once

#include <string>

#include "kernels/dtype.h"
#include "kernels/error.h"
#include "kernels/view.h"

namespace otnfm {

/// "[256, 64]", with strides where the view is not contiguous: "[256, 64] (strides 128, 1)".
std::string describe(int rank, const std::int64_t* shape, const std::int64_t* stride);

[[noreturn]] void fail_check(const char* op, const char* what, const std::string& got);

template <class T>
std::string describe(const View<T>& v) {
  return describe(v.rank, v.shape, v.stride);
}

inline void require(bool holds, const char* op, const char* what, const std::string& got = {}) {
  if (!holds) fail_check(op, what, got);
}

/// v is a matrix whose rows are contiguous, of exactly this shape, with memory behind it unless it is empty.
template <class T>
void require_matrix(const char* op, const char* name, const View<T>& v, std::int64_t rows, std::int64_t columns) {
  if (v.rank == 2 && v.shape[0] == rows && v.shape[1] == columns && v.rows_contiguous() &&
      (v.shape[0] <= 1 || v.stride[0] >= columns) && (v.data != nullptr || v.empty()))
    return;
  fail_check(op, name,
             describe(v) + ", wanted rows-contiguous [" + std::to_string(rows) + ", " + std::to_string(columns) + "]" +
                 (v.data == nullptr && !v.empty() ? " with memory (data is null)" : ""));
}

/// All are float32, or all are bfloat16.
template <class First, class... Rest>
void require_stored_alike(const char* op, const First& first, const Rest&... rest) {
  require(first.dtype == DType::float32 || first.dtype == DType::bfloat16, op, "not a storage type of numbers",
          name_of(first.dtype));
  (require(rest.dtype == first.dtype, op, "its arguments must be stored alike",
           std::string(name_of(first.dtype)) + " and " + name_of(rest.dtype)),
   ...);
}

/// v is a contiguous vector of n elements.
template <class T>
void require_vector(const char* op, const char* name, const View<T>& v, std::int64_t n) {
  if (v.rank == 1 && v.shape[0] == n && (n <= 1 || v.stride[0] == 1) && (v.data != nullptr || n == 0)) return;
  fail_check(op, name,
             describe(v) + ", wanted contiguous [" + std::to_string(n) + "]" +
                 (v.data == nullptr && n != 0 ? " with memory (data is null)" : ""));
}

/// v is contiguous and of exactly this shape, with memory behind it unless it is empty.
template <class T>
void require_contiguous(const char* op, const char* name, const View<T>& v, std::initializer_list<std::int64_t> sizes) {
  if (same_shape(v, sizes) && v.contiguous() && (v.data != nullptr || v.empty())) return;
  const Extents wanted(sizes);
  fail_check(op, name,
             describe(v) + ", wanted contiguous " + describe(wanted.rank, wanted.shape, wanted.stride) +
                 (v.data == nullptr && !v.empty() ? " with memory (data is null)" : ""));
}

}  // namespace otnfm
