// What the ops of this folder have in common.
#pragma once

#include <string>

#include "engine/core/tape.h"
#include "kernels/copy.h"

namespace otnfm {

inline void require_same_shape(const char* op, const Tensor& a, const Tensor& b) {
  if (a.shape() == b.shape()) return;
  const auto text = [](const Tensor& tensor) {
    std::string s = "[";
    for (int axis = 0; axis < tensor.rank(); ++axis) s += (axis ? ", " : "") + std::to_string(tensor.size(axis));
    return s + "]";
  };
  throw InputError(std::string(op) + " of tensors of different shapes " + text(a) + " and " + text(b));
}

/// The same numbers in this type: x itself, or rounded, with no rule for a gradient.
inline Tensor stored_as(Tape& tape, DType dtype, const Tensor& x) {
  if (x.dtype() == dtype) return x;
  const Tensor y = tape.make(x.shape(), dtype);
  tape.record(copy, Copy{.x = x.as_matrix(), .y = y.as_matrix()});
  return y;
}

/// As [n, C], C the last axis, and as [B, N, C].
inline View<Stored> as_rows(const Tensor& x) {
  const std::int64_t C = x.size(x.rank() - 1);
  const View<Stored> all = x.stored();
  return {all.data, all.dtype, Extents{C == 0 ? 0 : x.size() / C, C}};
}
inline View<Stored> as_positions(const Tensor& x) {
  const std::int64_t B = x.size(0), C = x.size(x.rank() - 1);
  const View<Stored> all = x.stored();
  return {all.data, all.dtype, Extents{B, B * C == 0 ? 0 : x.size() / (B * C), C}};
}

inline View<const float> view_or_none(const Tensor& tensor) {
  return tensor.defined() ? View<const float>(tensor.view()) : View<const float>();
}

/// The gradient of an output, without memory where none has arrived.
inline View<const float> arrived(const Tape& tape, const Tensor& output) {
  return view_or_none(output.defined() ? tape.gradient(output) : Tensor());
}
inline View<const float> arrived_flat(const Tape& tape, const Tensor& output) {
  const Tensor gradient = output.defined() ? tape.gradient(output) : Tensor();
  return gradient.defined() ? View<const float>(gradient.flat()) : View<const float>();
}

}  // namespace otnfm
