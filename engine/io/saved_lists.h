// Named lists of numbers: what a coupling or an objective keeps in state.safetensors, to go on from bit for bit.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"

namespace otnfm {

struct SavedLists {
  std::map<std::string, std::vector<std::int64_t>> integers = {};
  std::map<std::string, std::vector<float>> floats = {};

  bool empty() const { return integers.empty() && floats.empty(); }
  bool operator==(const SavedLists&) const = default;

  /// InputError where there is none of this name.
  const std::vector<std::int64_t>& integers_of(const std::string& name) const;
  const std::vector<float>& floats_of(const std::string& name) const;
};

/// The lists as tensors "prefix" + NAME, which refer to them, and back.
void append(const SavedLists& lists, const std::string& prefix, std::vector<NamedTensor>& tensors);
SavedLists lists_of(const SafetensorsFile& file, const std::string& prefix);

}  // namespace otnfm
