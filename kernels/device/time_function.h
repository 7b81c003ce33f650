// phi(t), the time functions of a flow (Bilos et al. 2021, section 3): phi(0) = 0 exactly, whatever the weights. One
// output dimension has K weights.
#pragma once

#include "kernels/device/math.h"

namespace otnfm {

/// identity: t, K = 0.  linear: w t, K = 1.  tanh: tanh(w t), K = 1.  log: log(1 + e^w t), K = 1.
/// fourier: sum_k a_k sin(s_k t), K = 2 m: the a_k, then the s_k.
/// bounded_fourier: sum_k a_k sin(s_k t) / (1 + sum_k |a_k|), so that |phi| < 1.
enum class TimeFunctionKind : int { identity, linear, tanh, log, fourier, bounded_fourier };

}  // namespace otnfm
