// Where memory does not suffice the program says how much was wanted, and for what.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/memory.h"  // OutOfMemory: what operator new throws in this program

namespace otnfm {

/// Names what the program does from here on, "pairing 9 x 9 points" say. Called by the main thread, between its parts.
void memory_is_for(const std::string& what);

/// "otnfm: error: out of memory: N bytes for ...", a line on stderr. It allocates nothing.
void say_out_of_memory(std::size_t bytes) noexcept;

}  // namespace otnfm
