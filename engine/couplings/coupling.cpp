#include "engine/couplings/coupling.h"

#include <algorithm>
#include <utility>

#include "engine/couplings/couplings.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

std::vector<OptionEntry> options_of(const CouplingEntry& coupling) {
  return coupling.options ? coupling.options() : std::vector<OptionEntry>();
}

/// "of online, semidiscrete: what it is for them; of global: what it is for that one"
std::string help_of(const std::string& key) {
  std::vector<std::pair<std::string, std::string>> parts;  // names, help
  for (const CouplingEntry& coupling : couplings())
    for (const OptionEntry& option : options_of(coupling)) {
      if (option.key != key) continue;
      const auto same = std::ranges::find_if(parts, [&](const auto& part) { return part.second == option.help; });
      if (same == parts.end())
        parts.emplace_back(coupling.name, option.help);
      else
        same->first += std::string(", ") + coupling.name;
    }
  std::string text;
  for (const auto& [names, help] : parts) text += (text.empty() ? "of " : "; of ") + names + ": " + help;
  return text;
}

std::vector<OptionEntry> all_options() {
  std::vector<OptionEntry> all;
  for (const CouplingEntry& coupling : couplings())
    for (const OptionEntry& option : options_of(coupling))
      if (std::ranges::find(all, option.key, &OptionEntry::key) == all.end()) all.push_back(option);
  for (OptionEntry& option : all) option.help = help_of(option.key);
  return all;
}

}  // namespace

std::span<const CouplingEntry> couplings() {
  static const CouplingEntry all[] = {independent_coupling(), minibatch_coupling(), global_coupling(),
                                      online_coupling(), semidiscrete_coupling()};
  return all;
}

const std::vector<OptionEntry>& coupling_options() {
  static const std::vector<OptionEntry> all = all_options();
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
