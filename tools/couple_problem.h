// What `otnfm couple` is asked to pair: files opened, checked and seen as problems.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/io/array_file.h"
#include "engine/io/lap.h"
#include "ot/cost.h"

namespace otnfm {

struct ProblemFlags {
  std::string source, target, cost, lap;
  std::string cost_function = "squared-euclidean";
  bool batch = false;
  std::string source_weights, target_weights;
};

Cost cost_of_name(const std::string& name);

/// Problems of equal size (one, unless --batch) with the memory that their views point into.
class OpenedProblems {
 public:
  /// Throws InputError that names the flag or the file, and what was found in it.
  explicit OpenedProblems(const ProblemFlags& flags);

  const std::vector<Problem>& problems() const { return problems_; }
  /// Of each problem, and of those that a stack of none would hold.
  std::int64_t n() const { return n_; }
  std::int64_t m() const { return m_; }
  bool is_lap() const { return lap_.has_value(); }
  std::span<const double> source_weights() const { return source_weights_; }  ///< [n], or empty
  std::span<const double> target_weights() const { return target_weights_; }  ///< [m], or empty

 private:
  NpyArray first_, second_;
  std::optional<LapProblem> lap_;
  std::vector<double> source_weights_, target_weights_;
  std::vector<Problem> problems_;
  std::int64_t n_ = 0, m_ = 0;
};

}  // namespace otnfm
