// NumPy's array files: .npy (versions 1, 2, 3) and .npz (a zip archive of them, members stored or deflated).
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and PKWARE's APPNOTE.TXT.
//
// Little endian; float32, float64, int32, int64, uint8, uint64 and bool (read as uint8, 0 or 1); rank 0 to 4; Fortran
// order is transposed while it is read. Anything else is an InputError that names what was found. Every size that a
// file declares is compared with the size of the file before memory is taken for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/io/input_file.h"
#include "kernels/dtype.h"
#include "kernels/view.h"

namespace otnfm {

struct NpyArray {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;  ///< empty for a single number (rank 0)
  std::vector<std::byte> bytes;     ///< row-major (C order)

  std::int64_t size() const { return static_cast<std::int64_t>(bytes.size() / size_of(dtype)); }
};

/// A matrix of any of the dtypes above, as float32.
struct FloatMatrix {
  std::vector<float> values;  ///< [rows, columns], row-major
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  View<const float> view() const { return {values.data(), {rows, columns}}; }
};

NpyArray read_npy(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);

/// The arrays of an .npz by name (the member's name without ".npy"). `max_bytes` bounds their sum.
std::map<std::string, NpyArray> read_npz(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);

/// A matrix [n, d] from an .npy file, or from an .npz file that holds one array only. InputError where its rank is not
/// 2, or where a finite number is too large for float32.
FloatMatrix read_matrix_float(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);

/// Any strides; written in C order, format version 1, atomically. T: float, double, int32, int64, uint8, uint64.
template <class T>
void write_npy(const std::filesystem::path& path, View<const T> values);
template <class T>
void write_npy(const std::filesystem::path& path, View<T> values) {
  write_npy(path, View<const T>(values));
}

/// Parses the bytes of an .npy file; `name` begins the errors.
NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& name);

}  // namespace otnfm
