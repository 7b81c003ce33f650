#include "engine/couplings/coupling.h"

#include "engine/couplings/couplings.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

std::vector<OptionEntry> options_of(const CouplingEntry& coupling) {
  return coupling.options ? coupling.options() : std::vector<OptionEntry>();
}

}  // namespace

std::span<const CouplingEntry> couplings() {
  static const CouplingEntry all[] = {independent_coupling(), minibatch_coupling(), global_coupling(),
                                      online_coupling(), semidiscrete_coupling()};
  return all;
}

const std::vector<OptionEntry>& coupling_options() {
  static const std::vector<OptionEntry> all = [] {
    std::vector<OptionOwner> owners;
    for (const CouplingEntry& coupling : couplings()) owners.push_back({coupling.name, options_of(coupling)});
    return merged(owners);
  }();
  return all;
}

OptionValues own_options(const CouplingEntry& coupling, const OptionValues& values) {
  OptionValues own;
  for (const OptionEntry& option : options_of(coupling))
    if (const auto found = values.find(option.key); found != values.end()) own.insert(*found);
  return own;
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
