// Stands in for the CUDA toolkit's header of this name when kernels/cuda is compiled by the host compiler (OTNFM_SIMT):
// found first on the include path. "simt": one instruction, multiple threads.
#pragma once

#include "simt_device.h"
#include "simt_runtime.h"
#include "simt_types.h"
