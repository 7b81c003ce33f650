// Element-by-element work over matrices of one shape, in pieces as long as the memory allows: where no matrix has a gap
// between its rows, rows and columns do not matter and a [256, 2] batch is one run of 512 elements, not 256 runs of 2.
#pragma once

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

/// body(i, begin, end) for pieces that cover every element once: elements [begin, end) counted from the start of row i.
/// Where all matrices are contiguous, i is 0 and the pieces run across rows.
template <class Body>
void parallel_spans(std::int64_t rows, std::int64_t columns, bool all_contiguous, const Body& body) {
  if (all_contiguous)
    return host::parallel_ranges(rows * columns, host::kElementGrain,
                                 [&](std::int64_t begin, std::int64_t end) { body(std::int64_t{0}, begin, end); });
  host::parallel_rows(rows, columns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i, std::int64_t{0}, columns);
  });
}

}  // namespace otnfm::cpu
