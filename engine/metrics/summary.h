// Mean and standard deviation over repeats.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace otnfm {

struct Summary {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double standard_deviation = std::numeric_limits<double>::quiet_NaN();  ///< divided by count - 1; 0 for one value
  std::int64_t count = 0;
};

/// NaN for no values.
inline Summary summarize(std::span<const double> values) {
  Summary summary;
  summary.count = static_cast<std::int64_t>(values.size());
  if (values.empty()) return summary;
  const double n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (double value : values) sum += value;
  summary.mean = sum / n;
  for (double value : values) squares += (value - summary.mean) * (value - summary.mean);
  summary.standard_deviation = values.size() == 1 ? 0 : std::sqrt(squares / (n - 1));
  return summary;
}

}  // namespace otnfm
