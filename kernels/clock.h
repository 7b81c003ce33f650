// Seconds since some fixed moment, to measure how long something takes.
#pragma once

#include <chrono>

namespace otnfm {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace otnfm
