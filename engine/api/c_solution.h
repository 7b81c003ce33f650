// What otnfm_solve() has found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/c.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/sinkhorn_plan.h"

struct otnfm_solution {
  otnfm::Problem problem;
  otnfm::Assignment assignment;
  otnfm_summary summary;
  std::string message;
  bool is_entropic = false;                 ///< Sinkhorn's
  std::optional<otnfm::SinkhornPlan> plan;  ///< and there is one
  std::vector<std::int64_t> rows, columns;  ///< of the entries of an exact plan
  std::vector<double> mass;
  bool has_entries = false;
};
