#include "engine/core/configuration.h"

#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"

namespace otnfm {

ConfigurationReader::ConfigurationReader(const nlohmann::json& configuration, std::string what)
    : configuration_(configuration), what_(std::move(what)) {
  if (!configuration.is_object()) throw InputError("the configuration of " + what_ + " is not a JSON object");
}

const nlohmann::json* ConfigurationReader::find(const char* key) {
  known_.insert(key);
  const auto found = configuration_.find(key);
  return found == configuration_.end() ? nullptr : &*found;
}

void ConfigurationReader::integer(const char* key, std::int64_t& value, std::int64_t lowest, std::int64_t highest) {
  const nlohmann::json* found = find(key);
  if (!found) return;
  if (!found->is_number_integer())
    throw InputError(what_ + ": \"" + key + "\" must be an integer, not " + shown_json(*found));
  // An unsigned value above 2^63 would wrap around in get<int64>.
  const bool huge = found->is_number_unsigned() && found->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  if (huge || found->get<std::int64_t>() < lowest || found->get<std::int64_t>() > highest)
    throw InputError(what_ + ": \"" + key + "\" must lie in " + std::to_string(lowest) + " .. " +
                     std::to_string(highest) + ", not " + shown_json(*found));
  value = found->get<std::int64_t>();
}

void ConfigurationReader::number(const char* key, double& value, double lowest, double highest) {
  const nlohmann::json* found = find(key);
  if (!found) return;
  if (!found->is_number()) throw InputError(what_ + ": \"" + key + "\" must be a number, not " + shown_json(*found));
  const double given = found->get<double>();
  if (!(given >= lowest && given <= highest))
    throw InputError(what_ + ": \"" + key + "\" must lie in " + shown_json(lowest) + " .. " + shown_json(highest) +
                     ", not " + shown_json(*found));
  value = given;
}

void ConfigurationReader::text(const char* key, std::string& value) {
  const nlohmann::json* found = find(key);
  if (!found) return;
  if (!found->is_string()) throw InputError(what_ + ": \"" + key + "\" must be a string, not " + shown_json(*found));
  value = found->get<std::string>();
}

void ConfigurationReader::boolean(const char* key, bool& value) {
  const nlohmann::json* found = find(key);
  if (!found) return;
  if (!found->is_boolean())
    throw InputError(what_ + ": \"" + key + "\" must be true or false, not " + shown_json(*found));
  value = found->get<bool>();
}

void ConfigurationReader::finish() const {
  for (const auto& [key, value] : configuration_.items())
    if (!known_.contains(key)) {
      std::string all;
      for (const std::string& name : known_) all += (all.empty() ? "" : ", ") + name;
      throw InputError(what_ + ": unknown key \"" + key + "\": there are " + all);
    }
}

}  // namespace otnfm
