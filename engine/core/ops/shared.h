// What the ops of this folder have in common.
#pragma once

#include <string>

#include "engine/core/tape.h"

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
