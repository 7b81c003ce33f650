// The header of an .npy file: magic, version, length, then a Python dictionary such as
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/dtype.h"

namespace otnfm {

/// NumPy writes 64 to 128 bytes; longer than this is not an array that we read.
inline constexpr std::int64_t kMaxNpyHeaderBytes = 65536;

/// The element types that an .npy file may hold.
enum class NpyType : std::uint8_t {
  float16,
  float32,
  float64,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  boolean,
};

struct NpyHeader {
  NpyType type = NpyType::float32;
  std::int64_t item_bytes = 4;  ///< of one element in the file
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
  std::int64_t data_offset = 0;
  std::int64_t data_bytes = 0;
};

/// Parses the header at the beginning of `prefix`, the first kMaxNpyHeaderBytes + 12 bytes of a file (or all of a
/// shorter one) that holds `file_bytes` in all, and checks that its data end where the file does. InputError that
/// begins with `name`.
NpyHeader parse_npy_header(std::span<const std::byte> prefix, std::int64_t file_bytes, const std::string& name);

/// Version 1, padded so that the data begin at a multiple of 64.
std::string format_npy_header(DType dtype, std::span<const std::int64_t> shape);

}  // namespace otnfm
