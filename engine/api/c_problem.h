// What the C ABI reads and writes: structs that begin with their size, as long as the caller knows them; and the
// problem that an otnfm_problem describes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>

#include "engine/api/c.h"
#include "kernels/error.h"
#include "ot/cost.h"

namespace otnfm::embed {

/// `usual`, overwritten by what the caller has set: as many bytes as the struct has in the caller's version.
template <class Struct>
Struct read(const Struct& given, const Struct& usual, const char* name) {
  const std::size_t size = given.size;
  if (size < sizeof(std::size_t) || size > 4096)
    throw InputError(std::string(name) + " was not initialised: it begins with its size, which " + name +
                     "_init() sets");
  const char* bytes = reinterpret_cast<const char*>(&given);
  for (std::size_t k = sizeof(Struct); k < size; ++k)
    if (bytes[k] != 0) throw InputError(std::string(name) + " says something that this version does not know");
  Struct known = usual;
  std::memcpy(&known, bytes, std::min(size, sizeof(Struct)));
  return known;
}

/// Writes the first `size` bytes, the field `size` included; fields that this version does not know become 0.
template <class Struct>
void write(Struct value, Struct* to, std::size_t size) {
  if (to == nullptr || size < sizeof(std::size_t)) return;
  value.size = size;
  std::memcpy(to, &value, std::min(size, sizeof(Struct)));
  if (size > sizeof(Struct)) std::memset(reinterpret_cast<char*>(to) + sizeof(Struct), 0, size - sizeof(Struct));
}

/// A problem as it was given, and as the solvers take it.
struct Given {
  otnfm_problem c;
  Problem problem;
  std::span<const double> source_weights, target_weights;

  bool weighted() const { return !source_weights.empty() || !target_weights.empty(); }
};

/// Throws InputError that names the field.
Given given_of(const otnfm_problem& from);

}  // namespace otnfm::embed
