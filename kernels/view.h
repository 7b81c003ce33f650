// View<T>: a pointer with a shape and strides, passed by value to every kernel. It owns nothing. In an argument struct,
// View<const T> is an input and View<T> an output (or both, where the op's comment says that it accumulates).
// View<Stored> is a view of float32 or bfloat16 numbers, which of them is said when the program runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "kernels/device/host_device.h"
#include "kernels/dtype.h"

namespace otnfm {

inline constexpr int kMaxRank = 4;

/// What a view is of, whatever its numbers are stored as.
struct Extents {
  int rank = 0;
  std::int64_t shape[kMaxRank] = {0, 0, 0, 0};
  std::int64_t stride[kMaxRank] = {0, 0, 0, 0};  ///< in elements

  Extents() = default;

  /// Contiguous, row-major.
  Extents(std::initializer_list<std::int64_t> sizes) : Extents(sizes.begin(), static_cast<int>(sizes.size())) {}
  Extents(const std::int64_t* sizes, int count) : rank(count) {
    std::int64_t step = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      shape[axis] = sizes[axis];
      stride[axis] = step;
      step *= shape[axis];
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
};

template <class T>
struct View : Extents {
  T* data = nullptr;

  View() = default;

  /// A contiguous (row-major) view of `sizes`.
  View(T* pointer, std::initializer_list<std::int64_t> sizes) : Extents(sizes), data(pointer) {}
  /// A view as another is.
  OTNFM_HD View(T* pointer, const Extents& extents) : Extents(extents), data(pointer) {}

  /// View<T> converts to View<const T>.
  template <class U>
  requires(std::is_same_v<T, const U>) OTNFM_HD View(const View<U>& other) : Extents(other), data(other.data) {}

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

/// Numbers whose storage type is said when the program runs: float32 or bfloat16.
struct Stored;

template <class S>
requires(std::is_same_v<std::remove_const_t<S>, Stored>) struct View<S> : Extents {
  using Data = std::conditional_t<std::is_const_v<S>, const void, void>;
  Data* data = nullptr;
  DType dtype = DType::float32;

  View() = default;
  View(Data* pointer, DType type, const Extents& extents) : Extents(extents), data(pointer), dtype(type) {}
  /// A contiguous view of `sizes`, of float or bfloat16.
  template <class T>
  View(T* pointer, std::initializer_list<std::int64_t> sizes) : View(View<T>(pointer, sizes)) {}

  /// A View<float> or View<bfloat16> converts to it; one that is read only to View<const Stored> alone.
  template <class T>
  requires((std::is_const_v<S> || !std::is_const_v<T>)&&(std::is_same_v<std::remove_const_t<T>, float> ||
                                                         std::is_same_v<std::remove_const_t<T>, bfloat16>))
      View(const View<T>& other)
      : Extents(other), data(other.data), dtype(dtype_of<T>) {}
  template <class U>
  requires(std::is_same_v<S, const U>) View(const View<U>& other)
      : Extents(other), data(other.data), dtype(other.dtype) {}

  /// As what it is stored as: T is float or bfloat16, and dtype_of<T> is dtype.
  template <class T>
  auto as() const {
    using Number = std::conditional_t<std::is_const_v<S>, const T, T>;
    return View<Number>(static_cast<Number*>(data), *this);
  }
};

/// The address of element `count`.
inline void* advance(void* data, DType dtype, std::int64_t count) {
  return static_cast<std::byte*>(data) + count * static_cast<std::int64_t>(size_of(dtype));
}
inline const void* advance(const void* data, DType dtype, std::int64_t count) {
  return static_cast<const std::byte*>(data) + count * static_cast<std::int64_t>(size_of(dtype));
}

/// body.operator()<T>() with the type that `dtype` (float32 or bfloat16) says.
template <class Body>
decltype(auto) with_stored_type(DType dtype, Body&& body) {
  return dtype == DType::bfloat16 ? body.template operator()<bfloat16>() : body.template operator()<float>();
}

inline bool same_shape(const Extents& a, std::initializer_list<std::int64_t> sizes) {
  if (a.rank != static_cast<int>(sizes.size())) return false;
  int axis = 0;
  for (std::int64_t size : sizes)
    if (a.shape[axis++] != size) return false;
  return true;
}

inline bool same_shape(const Extents& a, const Extents& b) {
  if (a.rank != b.rank) return false;
  for (int axis = 0; axis < a.rank; ++axis)
    if (a.shape[axis] != b.shape[axis]) return false;
  return true;
}

}  // namespace otnfm
