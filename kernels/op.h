// What every op is made of. kernels/X.h holds its argument struct, a plain aggregate of views and numbers with
//   static constexpr const char* kName = "x";
// and OTNFM_DECLARE_OP(x, X). kernels/X.cpp holds `check(const X&)`, which throws InputError, and
// OTNFM_DISPATCH_OP(x, X) of kernels/dispatch.h: the one place where a backend is chosen. kernels/cpu/X.cpp and
// kernels/cuda/X.cu hold the work. CONTRIBUTING.md says how to add one.
#pragma once

#include "kernels/stream.h"
#include "kernels/view.h"

#define OTNFM_DECLARE_OP(function, Arguments)        \
  void function(Stream& stream, const Arguments& a); \
  namespace cpu {                                    \
  void function(Stream& stream, const Arguments& a); \
  }                                                  \
  namespace cuda {                                   \
  void function(Stream& stream, const Arguments& a); \
  }                                                  \
  static_assert(Arguments::kName != nullptr)
