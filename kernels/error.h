// The two kinds of failure. What a caller handed in is wrong: InputError (the program exits with 2). The machine failed
// while doing right work (no memory, no space, a CUDA error): RunError (exit 1). Both carry one line that names the
// flag, file, shape or value.
#pragma once

#include <stdexcept>

namespace otnfm {

struct InputError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct RunError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace otnfm
