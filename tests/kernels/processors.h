// The tables of a group of loops (kernels/host/processor.h) that run on this machine, the least processor's first.
#pragma once

#include <utility>
#include <vector>

#include "kernels/host/processor.h"

namespace otnfm {

/// With the processor that each is compiled for.
template <class Table>
std::vector<std::pair<host::Processor, const Table*>> tables_that_run() {
  std::vector<std::pair<host::Processor, const Table*>> found;
  for (std::size_t i = 0; i < host::tables<Table>().size(); ++i)
    if (const auto processor = static_cast<host::Processor>(i);
        host::tables<Table>()[i] != nullptr && host::runs_here(processor))
      found.emplace_back(processor, host::tables<Table>()[i]);
  return found;
}

}  // namespace otnfm
