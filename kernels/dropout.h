// y = x / (1 - rate) where a number is kept, 0 where it is dropped, each with probability `rate` (Srivastava et al.
// 2014). What is dropped is a function of the key alone (kernels/random.h), so the backward is the same op of dy, and
// nothing is stored in between.
#pragma once

#include "kernels/random.h"

namespace otnfm {

struct Dropout {
  static constexpr const char* kName = "dropout";
  View<const Stored> x;  // [B, d]
  View<Stored> y;        // [B, d], may be x; stored as x is
  RandomKey key;
  float rate = 0;  // 0 <= rate < 1
};
OTNFM_DECLARE_OP(dropout, Dropout);

}  // namespace otnfm
