#include "ot/assignment.h"

namespace otnfm {

const char* name_of(SolveStatus status) {
  switch (status) {
    case SolveStatus::converged:
      return "converged";
    case SolveStatus::iteration_limit:
      return "iteration limit";
    case SolveStatus::time_limit:
      return "time limit";
    case SolveStatus::interrupted:
      return "interrupted";
    case SolveStatus::infeasible:
      return "infeasible";
    case SolveStatus::numerical_failure:
      return "numerical failure";
  }
  return "unknown";
}

}  // namespace otnfm
