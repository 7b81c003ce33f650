// What otnfm_solve() has found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/embed/c.h"
#include "ot/assignment.h"
#include "ot/cost.h"

struct otnfm_solution {
  otnfm::Problem problem;
  otnfm::Assignment assignment;
  otnfm_summary summary;
  std::string message;
  std::vector<double> source_masses, target_masses;  ///< of Sinkhorn's plan; else empty
  std::vector<std::int64_t> rows, columns;           ///< of the entries of an exact plan
  std::vector<double> mass;
  bool has_entries = false;
};
