#include "engine/couplings/coupling.h"

#include "engine/couplings/couplings.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

constexpr CouplingEntry kCouplings[] = {
    {"independent", "no pairing at all: the map collapses to the data's mean (the baseline that shows it)", false,
     false, make_independent_coupling},
    {"minibatch", "optimal transport inside each batch", false, false, make_minibatch_coupling},
    {"global", "one optimal assignment between a fixed bank of noise and the data, solved once", true, true,
     make_global_coupling},
    {"online", "a bank's pairing, improved by each step's batch and kept (LOOM)", true, true, make_online_coupling},
    {"semidiscrete", "optimal transport from all noise to the data, by potentials that are fitted once", true, false,
     make_semidiscrete_coupling},
};

}  // namespace

std::span<const CouplingEntry> couplings() {
  return kCouplings;
}

void check_permutation(const char* what, const std::vector<std::int64_t>& numbers, std::int64_t size) {
  if (static_cast<std::int64_t>(numbers.size()) != size)
    throw InputError("the saved " + std::string(what) + " has " + std::to_string(numbers.size()) +
                     " pairs, the bank has " + std::to_string(size));
  std::vector<bool> taken(numbers.size(), false);
  for (std::int64_t number : numbers) {
    if (number < 0 || number >= size || taken[number])
      throw InputError("the saved " + std::string(what) + " is not a permutation");
    taken[number] = true;
  }
}

}  // namespace otnfm
