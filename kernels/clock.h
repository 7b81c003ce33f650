// Seconds since some moment: for what took how long.
#pragma once

#include <chrono>

namespace otnfm {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace otnfm
