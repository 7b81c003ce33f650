// A table of names: what the command line, the configuration and --help are made from. CONTRIBUTING.md says what a new
// flow, coupling, objective or solver needs beside its line in a table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace otnfm {

/// "a, b, c"
template <class Entry>
std::string names_of(std::span<const Entry> table) {
  std::string text;
  for (const Entry& entry : table) text += (text.empty() ? "" : ", ") + std::string(entry.name);
  return text;
}

/// The entry of this name; InputError that says what there is otherwise. `what` is "flow", "coupling", ...
template <class Entry>
const Entry& find_by_name(std::span<const Entry> table, std::string_view name, const char* what) {
  for (const Entry& entry : table)
    if (name == entry.name) return entry;
  throw InputError("unknown " + std::string(what) + " '" + std::string(name) + "': there are " + names_of(table));
}

}  // namespace otnfm
