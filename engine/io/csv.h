// Comma-separated values: a matrix of numbers as text, a row a line. What is read is what NumPy, pandas, R and
// spreadsheets write:
//
//   - columns separated by commas, or where the first line has none by semicolons, tabs, or blanks;
//   - a first line without any number is the names of the columns;
//   - lines that begin with # and empty lines are left out;
//   - "quoted" fields; nan and inf; a byte-order mark; line ends \n and \r\n.
//
// Numbers are int64 where all are whole and fit, else float64, each rounded to the nearest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "engine/io/input_file.h"
#include "engine/io/npy.h"
#include "kernels/view.h"

namespace otnfm {

/// [rows, columns] of int64 or float64. InputError that names the line, counted from 1 with what is left out, and the
/// column where there is no number, or where a line has more or fewer columns than the first.
NpyArray read_csv(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);
NpyArray parse_csv(std::string_view text, const std::string& name);

/// [n] as one column, [n, d] as n lines, without names of columns; each number in the fewest digits that give it back
/// exactly. Any strides; atomically. T: float, double, int64. InputError where the rank is above 2.
template <class T>
void write_csv(const std::filesystem::path& path, View<const T> values);

}  // namespace otnfm
