// Puts a case's buffers on a device in several ways and reads them back, with what was around them.
#pragma once

#include <random>
#include <vector>

#include "kernels/memory.h"
#include "tests/cases/case.h"

namespace otnfm::cases {

enum class Placement {
  exact,       ///< allocations of exactly the right size: what AddressSanitizer sees an overrun of
  misaligned,  ///< one element past an aligned address, guard zones on both sides
  padded,      ///< matrices with a gap between rows, guard zones on both sides
};

const char* name_of(Placement placement);

/// Fresh random values for the inputs, rounded to each buffer's dtype; outputs are left at NaN.
Values random_values(const Case& c, std::mt19937_64& random);

class PlacedCase {
 public:
  /// Copies `values` to the device. Outputs, gaps and guard zones hold 0xFF bytes, which are NaN in every floating
  /// type.
  PlacedCase(Stream& stream, const Case& c, Placement placement, const Values& values);

  const Buffers& buffers() const { return buffers_; }

  /// Copies everything back (and waits).
  struct Result {
    Values values;
    std::string damage;  ///< empty, or the name of a buffer around which something was written
  };
  Result download(Stream& stream) const;

 private:
  struct Slot {
    std::string name;
    DType dtype;
    std::vector<std::size_t> offset;  ///< of each element, in bytes from the allocation's start
    std::size_t bytes;
    Memory memory;
  };
  std::vector<Slot> slots_;
  Buffers buffers_;
};

}  // namespace otnfm::cases
