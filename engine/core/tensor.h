// Tensor: the name of a value on a tape. Cheap to copy; it owns nothing. Its memory is planned when the whole program
// is known (Tape::plan), so until then its address stands for a place in that plan.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "kernels/view.h"

namespace otnfm {

using Shape = std::vector<std::int64_t>;

inline std::int64_t size_of(const Shape& shape) {
  std::int64_t n = 1;
  for (std::int64_t size : shape) n *= size;
  return n;
}

/// Whether a sample of this shape is an image, [height, width, channels], and not [d] numbers.
inline bool is_image(const Shape& sample) {
  return sample.size() == 3;
}

class Tensor {
 public:
  Tensor() = default;

  bool defined() const { return id_ >= 0; }
  int rank() const { return rank_; }
  std::int64_t size(int axis) const { return shape_[axis]; }
  std::int64_t size() const { return extents().size(); }
  std::int64_t rows() const { return shape_[0]; }
  std::int64_t columns() const { return shape_[1]; }
  DType dtype() const { return dtype_; }
  Shape shape() const { return Shape(shape_.begin(), shape_.begin() + rank_); }

  /// A contiguous view for an op's arguments. Throws where T is not the tensor's type.
  template <class T = float>
  View<T> view() const {
    if (dtype_of<T> != dtype_)
      throw InputError(std::string("a tensor of ") + name_of(dtype_) + " was used as " + name_of(dtype_of<T>));
    return View<T>(static_cast<T*>(address_), extents());
  }

  /// The same elements as one vector [n].
  template <class T = float>
  View<T> flat() const {
    return View<T>(view<T>().data, {size()});
  }

  /// As it is stored. A matrix as it is, all else as one row.
  View<Stored> as_matrix() const { return stored_view(rank_ == 2 ? extents() : Extents{1, size()}); }
  View<Stored> stored() const { return stored_view(extents()); }

 private:
  friend class Tape;

  Extents extents() const { return Extents(shape_.data(), rank_); }

  View<Stored> stored_view(const Extents& as) const {
    if (dtype_ != DType::float32 && dtype_ != DType::bfloat16)
      throw InputError(std::string("a tensor of ") + name_of(dtype_) + " was used as numbers");
    return {address_, dtype_, as};
  }

  int id_ = -1;
  int rank_ = 0;
  DType dtype_ = DType::float32;
  std::array<std::int64_t, kMaxRank> shape_ = {};
  void* address_ = nullptr;
};

}  // namespace otnfm
