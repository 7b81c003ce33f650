// Sums, products and multiples, element by element. An output may be one of the inputs. All of an op's views are stored
// alike; the arithmetic is float32.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// y = a + b
struct Add {
  static constexpr const char* kName = "add";
  View<const Stored> a, b;  // [B, d]
  View<Stored> y;           // [B, d]
};
OTNFM_DECLARE_OP(add, Add);

/// y = a * b
struct Multiply {
  static constexpr const char* kName = "multiply";
  View<const Stored> a, b;  // [B, d]
  View<Stored> y;           // [B, d]
};
OTNFM_DECLARE_OP(multiply, Multiply);

/// Given dy: da = dy * b, db = dy * a.
struct MultiplyBackward {
  static constexpr const char* kName = "multiply_backward";
  View<const Stored> a, b, dy;  // [B, d]
  View<Stored> da, db;          // [B, d]
};
OTNFM_DECLARE_OP(multiply_backward, MultiplyBackward);

/// y = factor * x
struct Scale {
  static constexpr const char* kName = "scale";
  View<const Stored> x;  // [B, d]
  View<Stored> y;        // [B, d]
  float factor;
};
OTNFM_DECLARE_OP(scale, Scale);

/// y = alpha * x + beta * y
struct Axpby {
  static constexpr const char* kName = "axpby";
  View<const Stored> x;  // [B, d]
  View<Stored> y;        // [B, d], read and written
  float alpha, beta;
};
OTNFM_DECLARE_OP(axpby, Axpby);

}  // namespace otnfm
