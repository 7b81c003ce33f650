// What a step's rate of FLOPs is compared with: that of one large product on the same machine in the same run.
#pragma once

#include "kernels/stream.h"

namespace otnfm {

double seconds_now();

/// FLOP/s of a 2048^3 product in float32.
double gemm_rate(Device device);

}  // namespace otnfm
