// The keys of a flow's configuration: those that all families share, which are a chain of blocks made of multilayer
// perceptrons and phi, and how a family's own are read and written beside them. `Options` is the family's struct, with
// a member for each.
#pragma once

#include <array>
#include <nlohmann/json.hpp>

#include "engine/core/option_table.h"
#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {

inline constexpr const char *kFamilyKey = "family", *kDimensionKey = "dimension";

/// The table of a family: the shared keys, and its own. `depth_of_images` is a default.
template <class Options, std::size_t N>
constexpr std::array<OptionField<Options>, N + 7> flow_table(const OptionField<Options> (&own)[N],
                                                             OptionDefault depth_of_images = {}) {
  std::array<OptionField<Options>, N + 7> table = {{
      {.key = kDimensionKey, .member = &Options::dimension, .help = "of the data", .range = {1, 1 << 20}},
      {.key = "blocks", .member = &Options::blocks, .help = "how many there are in a row", .range = {1, 1024}},
      {.key = "width", .member = &Options::width, .help = "of the hidden layers", .range = {1, 1 << 16}, .many = 512.0},
      {.key = "depth",
       .member = &Options::depth,
       .help = "how many hidden layers",
       .range = {0, 64},
       .many = depth_of_images},
      {.key = "activation",
       .member = OptionByWord<Options>{
           [](const Options& options) { return name_of(options.activation); },
           [](Options& options, const std::string& word) { options.activation = activation_by_name(word); }},
       .help = "of the hidden layers",
       .words = activation_words},
      {.key = "time_function",
       .member = OptionByWord<Options>{
           [](const Options& options) { return name_of(options.time_function); },
           [](Options& options, const std::string& word) { options.time_function = time_function_by_name(word); }},
       .help = "phi(t)",
       .words = time_function_words},
      {.key = "fourier_terms",
       .member = &Options::fourier_terms,
       .help = "of the time functions that are Fourier series",
       .range = {1, 1024}},
  }};
  for (std::size_t k = 0; k < N; ++k) table[7 + k] = own[k];
  return table;
}

/// What a configuration says; the others have their defaults, which may depend on the dimension. InputError, which
/// begins with `what` ("flow resnet"), for unknown keys and for values that cannot be.
template <class Table>
auto read_flow_options(const Table& table, const nlohmann::json& configuration, const std::string& what) {
  nlohmann::json keys = configuration;
  if (keys.is_object()) keys.erase(kFamilyKey);
  const std::vector<OptionEntry> entries = entries_of(table);
  OptionValues values = read_options(entries, keys, what, OptionNames::keys);
  const auto dimension = values.find(kDimensionKey);
  if (dimension != values.end() && std::get<std::int64_t>(dimension->second) > kFewDimensionsLimit)
    for (const OptionEntry& entry : entries) values.emplace(entry.key, entry.default_for(DataKind::many_dimensions));
  return options_from(table, values, what);
}

template <class Table, class Options>
nlohmann::json flow_configuration(const char* family, const Table& table, const Options& options) {
  nlohmann::json all = {{kFamilyKey, family}};
  for (const auto& field : table) all[field.key] = json_of(field.get(options));
  return all;
}

}  // namespace otnfm
