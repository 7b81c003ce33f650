#include "kernels/check.h"

namespace otnfm {

std::string describe(int rank, const std::int64_t* shape, const std::int64_t* stride) {
  std::string text = "[";
  bool contiguous = true;
  std::int64_t step = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    contiguous = contiguous && (shape[axis] == 1 || stride[axis] == step);
    step *= shape[axis];
  }
  for (int axis = 0; axis < rank; ++axis) text += (axis ? ", " : "") + std::to_string(shape[axis]);
  text += "]";
  if (!contiguous) {
    text += " (strides ";
    for (int axis = 0; axis < rank; ++axis) text += (axis ? ", " : "") + std::to_string(stride[axis]);
    text += ")";
  }
  return text;
}

void fail_check(const char* op, const char* what, const std::string& got) {
  throw InputError(std::string(op) + ": " + what + (got.empty() ? "" : ": got " + got));
}

}  // namespace otnfm
