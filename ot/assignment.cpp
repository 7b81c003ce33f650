#include "ot/assignment.h"

namespace otnfm {

const char* name_of(SolveStatus status) {
  switch (status) {
    case SolveStatus::converged:
      return "converged";
    case SolveStatus::iteration_limit:
      return "iteration limit";
    case SolveStatus::numerical_failure:
      return "numerical failure";
  }
  return "unknown";
}

}  // namespace otnfm
