// NumPy's array files: .npy (versions 1, 2, 3) and .npz (a zip archive of them, members stored or deflated).
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html and PKWARE's APPNOTE.TXT.
//
// float16, float32, float64, bool, and integers of 8, 16, 32 and 64 bits with and without a sign, of either byte order;
// rank 0 to 4. What is read is of four types, the narrowest that holds every number exactly:
//
//   float16, float32 -> float32; float64 -> float64; bool, int8, int16, int32, uint8, uint16 -> int32;
//   uint32, int64 -> int64; uint64 -> int64, or where one of them is 2^63 or more float64 (InputError if it is not one)
//
// (uint8 stays uint8 where that is asked for: bytes of images) in C order: Fortran's is transposed. Anything else is an
// InputError that names what was found. Every size that a file declares is compared with the size of the file before
// memory is taken for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/input_file.h"
#include "kernels/dtype.h"
#include "kernels/view.h"

namespace otnfm {

struct NpyArray {
  DType dtype = DType::float32;     ///< float32, float64, int32 or int64; uint8 where it is kept
  std::vector<std::int64_t> shape;  ///< empty for a single number (rank 0)
  std::vector<std::byte> bytes;     ///< row-major (C order)

  std::int64_t size() const { return static_cast<std::int64_t>(bytes.size() / size_of(dtype)); }
};

/// What becomes of an array of uint8.
enum class NpyBytes { widened, kept };

NpyArray read_npy(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes,
                  NpyBytes unsigned_bytes = NpyBytes::widened);

/// The names of an .npz file's arrays (each member's, without ".npy"), in the archive's order.
std::vector<std::string> names_of_npz(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);

/// One array of an .npz; where no name is given, the only one. InputError, which lists the names, where there is none
/// of that name, or where there are several to choose from. The other members are not looked into.
NpyArray read_npz(const std::filesystem::path& path, const std::optional<std::string>& member = std::nullopt,
                  std::int64_t max_bytes = kMaxFileBytes, NpyBytes unsigned_bytes = NpyBytes::widened);

/// Any strides; written in C order, format version 1, atomically. T: float, double, int32, int64, uint8, uint64.
template <class T>
void write_npy(const std::filesystem::path& path, View<const T> values);
template <class T>
void write_npy(const std::filesystem::path& path, View<T> values) {
  write_npy(path, View<const T>(values));
}

/// Parses the bytes of an .npy file; `name` begins the errors.
NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& name,
                   NpyBytes unsigned_bytes = NpyBytes::widened);

}  // namespace otnfm
