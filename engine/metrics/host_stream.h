// Metrics are computed on the CPU, whatever device the samples came from.
#pragma once

#include "kernels/stream.h"

namespace otnfm {

/// A CPU stream of this thread's own.
inline Stream& metrics_stream() {
  thread_local Stream stream(Device::cpu);
  return stream;
}

}  // namespace otnfm
