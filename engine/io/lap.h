// Linear assignment problems as OR-Library writes them: n, then n rows of n whole numbers, separated by white space (a
// row may go over several lines). Format: http://people.brunel.ac.uk/~mastjjb/jeb/orlib/assigninfo.html.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "kernels/view.h"

namespace otnfm {

struct LapProblem {
  std::int64_t n = 0;
  std::vector<std::int64_t> cost;  ///< [n, n]: of giving row i column j

  View<const std::int64_t> view() const { return {cost.data(), {n, n}}; }
};

/// A file of at most 4 GiB. InputError that names the path, the line, and which number it is.
LapProblem read_lap(const std::filesystem::path& path);

}  // namespace otnfm
