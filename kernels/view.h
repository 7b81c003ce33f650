// View<T>: a pointer with a shape and strides, passed by value to every kernel. It owns nothing. In an argument struct,
// View<const T> is an input and View<T> an output (or both, where the op's comment says that it accumulates).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "kernels/device/host_device.h"
#include "kernels/dtype.h"

namespace otnfm {

inline constexpr int kMaxRank = 4;

template <class T>
struct View {
  T* data = nullptr;
  int rank = 0;
  std::int64_t shape[kMaxRank] = {0, 0, 0, 0};
  std::int64_t stride[kMaxRank] = {0, 0, 0, 0};  ///< in elements

  View() = default;

  /// A contiguous (row-major) view of `sizes`.
  View(T* pointer, std::initializer_list<std::int64_t> sizes) : data(pointer), rank(static_cast<int>(sizes.size())) {
    int axis = 0;
    for (std::int64_t size : sizes) shape[axis++] = size;
    std::int64_t step = 1;
    for (axis = rank - 1; axis >= 0; --axis) {
      stride[axis] = step;
      step *= shape[axis];
    }
  }

  /// View<T> converts to View<const T>.
  template <class U>
  requires(std::is_same_v<T, const U>) OTNFM_HD View(const View<U>& other) : data(other.data), rank(other.rank) {
    for (int axis = 0; axis < kMaxRank; ++axis) {
      shape[axis] = other.shape[axis];
      stride[axis] = other.stride[axis];
    }
  }

  OTNFM_HD std::int64_t size() const {
    std::int64_t n = 1;
    for (int axis = 0; axis < rank; ++axis) n *= shape[axis];
    return rank == 0 ? 0 : n;
  }
  OTNFM_HD bool empty() const { return size() == 0; }

  /// No gaps between elements, in row-major order.
  OTNFM_HD bool contiguous() const {
    std::int64_t step = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      if (shape[axis] != 1 && stride[axis] != step) return false;
      step *= shape[axis];
    }
    return true;
  }

  // A matrix [rows, columns] whose rows are contiguous but may have a gap between them: what most kernels take.
  OTNFM_HD std::int64_t rows() const { return shape[0]; }
  OTNFM_HD std::int64_t columns() const { return shape[1]; }
  OTNFM_HD std::int64_t row_stride() const { return stride[0]; }
  OTNFM_HD bool rows_contiguous() const { return rank == 2 && (shape[1] <= 1 || stride[1] == 1); }
  OTNFM_HD T* row(std::int64_t i) const { return data + i * stride[0]; }

  OTNFM_HD T& operator()(std::int64_t i) const { return data[i * stride[0]]; }
  OTNFM_HD T& operator()(std::int64_t i, std::int64_t j) const { return data[i * stride[0] + j * stride[1]]; }

  /// Columns [begin, begin + count) of a matrix, as a view of the same memory.
  View column_slice(std::int64_t begin, std::int64_t count) const {
    View v = *this;
    v.data += begin * stride[1];
    v.shape[1] = count;
    return v;
  }
  /// Rows [begin, begin + count), any rank.
  View row_slice(std::int64_t begin, std::int64_t count) const {
    View v = *this;
    v.data += begin * stride[0];
    v.shape[0] = count;
    return v;
  }
};

template <class T>
bool same_shape(const View<T>& a, std::initializer_list<std::int64_t> sizes) {
  if (a.rank != static_cast<int>(sizes.size())) return false;
  int axis = 0;
  for (std::int64_t size : sizes)
    if (a.shape[axis++] != size) return false;
  return true;
}

template <class T, class U>
bool same_shape(const View<T>& a, const View<U>& b) {
  if (a.rank != b.rank) return false;
  for (int axis = 0; axis < a.rank; ++axis)
    if (a.shape[axis] != b.shape[axis]) return false;
  return true;
}

}  // namespace otnfm
