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

class Tensor {
 public:
  Tensor() = default;

  bool defined() const { return id_ >= 0; }
  int rank() const { return rank_; }
  std::int64_t size(int axis) const { return shape_[axis]; }
  std::int64_t rows() const { return shape_[0]; }
  std::int64_t columns() const { return shape_[1]; }
  DType dtype() const { return dtype_; }
  Shape shape() const { return Shape(shape_.begin(), shape_.begin() + rank_); }

  /// A contiguous view for an op's arguments. Throws where T is not the tensor's type.
  template <class T = float>
  View<T> view() const {
    if (dtype_of<T> != dtype_)
      throw InputError(std::string("a tensor of ") + name_of(dtype_) + " was used as " + name_of(dtype_of<T>));
    View<T> v;
    v.data = static_cast<T*>(address_);
    v.rank = rank_;
    std::int64_t step = 1;
    for (int axis = rank_ - 1; axis >= 0; --axis) {
      v.shape[axis] = shape_[axis];
      v.stride[axis] = step;
      step *= shape_[axis];
    }
    return v;
  }

  /// A matrix as it is, all else as one row.
  View<float> as_matrix() const { return rank_ == 2 ? view() : View<float>(view().data, {1, view().size()}); }

  /// The same elements as one vector [n].
  template <class T = float>
  View<T> flat() const {
    return View<T>(view<T>().data, {view<T>().size()});
  }

 private:
  friend class Tape;
  int id_ = -1;
  int rank_ = 0;
  DType dtype_ = DType::float32;
  std::array<std::int64_t, kMaxRank> shape_ = {};
  void* address_ = nullptr;
};

}  // namespace otnfm
