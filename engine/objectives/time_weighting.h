// Which times a flow is trained at, and how much each counts (method.md, "Training").
#pragma once

#include <span>
#include <string>

#include "engine/core/ops.h"

namespace otnfm {

/// The times of a batch's pairs.
struct Times {
  Tensor t;       ///< [B, 1]
  Tensor weight;  ///< [B, 1], or undefined: all 1
};

struct TimeWeighting {
  const char* name;
  const char* about;
  Times (*draw)(Tape& tape, std::int64_t B, const RandomKey& key);
  /// E[w(t) t^2]: the loss of a perfect map over the coupling's E tr Var[x1 | x0].
  double mean_weighted_square;
};

std::span<const TimeWeighting> time_weightings();

/// InputError lists the names that there are.
const TimeWeighting& time_weighting_by_name(const std::string& name);

}  // namespace otnfm
