// Files that hold an array of numbers, told apart by how their names end: .npy, .npz (FILE.npz with one array, or
// FILE.npz:NAME), .csv.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/input_file.h"
#include "engine/io/npy.h"
#include "kernels/view.h"

namespace otnfm {

/// "FILE.npy, FILE.npz (FILE.npz:NAME where it holds several arrays) or FILE.csv", for messages and --help.
const std::string& array_file_names();

/// Whether `spec` ends as one of them does.
bool is_array_file(std::string_view spec);

/// An array of float32, float64, int32 or int64 (npy.h says which becomes what), or uint8 where it is kept. InputError
/// that names the file and what is wrong with it, and array_file_names() where it ends otherwise.
NpyArray read_array(const std::string& spec, std::int64_t max_bytes = kMaxFileBytes,
                    NpyBytes unsigned_bytes = NpyBytes::widened);

/// Both as float32 where that holds each of their numbers exactly, else as float64; what already is a floating type is
/// widened only. InputError that names the number where neither holds it (an integer above 2^53).
void make_floats_of_one_type(NpyArray& first, const std::string& first_name, NpyArray& second,
                             const std::string& second_name);

/// A vector [n], as float64; of a .csv file one line or one column. InputError for another shape.
std::vector<double> read_vector(const std::string& spec, std::int64_t max_bytes = kMaxFileBytes);

struct FloatMatrix {
  std::vector<float> values;  ///< [rows, columns], row-major
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  View<const float> view() const { return {values.data(), {rows, columns}}; }
};

/// A matrix [n, d], rounded to float32. InputError where its rank is not 2, or where a finite number is too large for
/// float32.
FloatMatrix read_matrix_float(const std::string& spec, std::int64_t max_bytes = kMaxFileBytes);
/// The same of an array that has been read; `spec` begins the errors.
FloatMatrix matrix_float_of(const NpyArray& array, const std::string& spec);

/// As .npy (any rank) or as .csv (rank 1 or 2), by the name's end; what is there and no file, a pipe or a device, gets
/// .npy. T: float, double, int64. InputError where it ends otherwise.
template <class T>
void write_array(const std::filesystem::path& path, View<const T> values);
template <class T>
void write_array(const std::filesystem::path& path, View<T> values) {
  write_array(path, View<const T>(values));
}

}  // namespace otnfm
