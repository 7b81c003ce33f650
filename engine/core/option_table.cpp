#include "engine/core/option_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"

namespace otnfm {
namespace {

constexpr double kBeyondIntegers = 0x1p63;

std::string text_of(double bound, bool integer) {
  if (!integer) return shown_json(bound);
  return std::to_string(bound >= kBeyondIntegers ? INT64_MAX : static_cast<std::int64_t>(bound));
}

[[noreturn]] void throw_out_of_range(const OptionEntry& entry, bool integer, const std::string& value,
                                     const std::string& name) {
  throw InputError(name + " must lie in " + text_of(entry.range.least, integer) + " .. " +
                   text_of(entry.range.most, integer) + ", not " + value);
}

/// A JSON value as one of the entry's kind. What the kind cannot hold at all is refused.
OptionValue value_of(const OptionEntry& entry, const nlohmann::json& json, const std::string& name) {
  if (std::holds_alternative<std::string>(entry.standard)) {
    if (!json.is_string()) throw InputError(name + " must be a string, not " + shown_json(json));
    return json.get<std::string>();
  }
  if (std::holds_alternative<bool>(entry.standard)) {
    if (!json.is_boolean()) throw InputError(name + " must be true or false, not " + shown_json(json));
    return json.get<bool>();
  }
  if (std::holds_alternative<double>(entry.standard)) {
    if (!json.is_number()) throw InputError(name + " must be a number, not " + shown_json(json));
    return json.get<double>();
  }
  if (!json.is_number_integer()) throw InputError(name + " must be an integer, not " + shown_json(json));
  // An unsigned value above 2^63 would wrap around in get<int64>.
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    throw_out_of_range(entry, true, shown_json(json), name);
  return json.get<std::int64_t>();
}

}  // namespace

OptionValue OptionEntry::default_for(DataKind kind) const {
  const OptionDefault& other = kind == DataKind::endless ? endless : many;
  if (kind == DataKind::few_dimensions || std::holds_alternative<std::monostate>(other)) return standard;
  if (const auto* word = std::get_if<const char*>(&other)) return std::string(*word);
  const double number = std::get<double>(other);
  return std::holds_alternative<double>(standard) ? OptionValue(number) : static_cast<std::int64_t>(number);
}

std::vector<OptionEntry> merged(const std::vector<OptionOwner>& owners) {
  struct Part {
    std::string owners, help;
    std::size_t count = 1;  // of owners
  };
  std::vector<OptionEntry> all;
  std::vector<std::vector<Part>> parts;  // of each
  for (const OptionOwner& owner : owners)
    for (const OptionEntry& option : owner.options) {
      const auto at = std::ranges::find(all, option.key, &OptionEntry::key) - all.begin();
      if (at == std::ssize(all)) {
        all.push_back(option);
        parts.emplace_back();
      }
      std::vector<Part>& own = parts[static_cast<std::size_t>(at)];
      if (const auto same = std::ranges::find(own, option.help, &Part::help); same != own.end())
        same->owners += ", " + owner.name, ++same->count;
      else
        own.push_back({owner.name, option.help});
    }
  for (std::size_t k = 0; k < all.size(); ++k) {
    if (parts[k].front().count == owners.size()) continue;  // the same for all
    all[k].help.clear();
    for (const Part& part : parts[k])
      all[k].help += (all[k].help.empty() ? "of " : "; of ") + part.owners + ": " + part.help;
  }
  return all;
}

std::string flag_of(std::string_view key) {
  std::string flag = "--" + std::string(key);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

std::string name_of_option(const std::string& key, const std::string& what, OptionNames names) {
  return names == OptionNames::flags ? flag_of(key) : what + ": \"" + key + "\"";
}

OptionValue checked(const OptionEntry& entry, OptionValue value, const std::string& name) {
  if (std::holds_alternative<double>(entry.standard) && std::holds_alternative<std::int64_t>(value))
    value = static_cast<double>(std::get<std::int64_t>(value));
  if (value.index() != entry.standard.index())
    throw InputError(name + " is " + shown_json(json_of(value)) + ", which is of another kind than its default " +
                     shown_json(json_of(entry.standard)));
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    const auto size = static_cast<double>(*integer);
    if (size < entry.range.least || size > entry.range.most)
      throw_out_of_range(entry, true, std::to_string(*integer), name);
  } else if (const auto* number = std::get_if<double>(&value)) {
    if (!(*number >= entry.range.least && *number <= entry.range.most))
      throw_out_of_range(entry, false, shown_json(*number), name);
  } else if (const auto* text = std::get_if<std::string>(&value); text && !entry.words.empty()) {
    std::string known;
    for (const OptionWord& word : entry.words) {
      if (word.name == *text) return value;
      known += (known.empty() ? "" : ", ") + word.name;
    }
    throw InputError(name + " is '" + *text + "': there are " + known);
  }
  return value;
}

const OptionEntry& entry_of(const std::vector<OptionEntry>& entries, std::string_view key, const std::string& what) {
  std::string known;
  for (const OptionEntry& entry : entries) {
    if (entry.key == key) return entry;
    known += (known.empty() ? "" : ", ") + entry.key;
  }
  throw InputError(what + ": unknown key \"" + std::string(key) + "\": there are " + known);
}

OptionValues read_options(const std::vector<OptionEntry>& entries, const nlohmann::json& configuration,
                          const std::string& what, OptionNames names) {
  if (!configuration.is_object()) throw InputError(what + ": is not a JSON object");
  OptionValues values, meant;
  for (const auto& [key, json] : configuration.items()) {
    const OptionEntry& entry = entry_of(entries, key, what);
    const std::string name = name_of_option(key, what, names);
    OptionValue value = value_of(entry, json, name);
    const auto former =
        std::ranges::find_if(entry.former, [&](const FormerWord& word) { return OptionValue(word.name) == value; });
    if (former == entry.former.end())
      values.insert_or_assign(key, checked(entry, std::move(value), name));
    else
      meant.insert(former->meaning.begin(), former->meaning.end());
  }
  for (auto& [key, value] : meant) values.insert_or_assign(key, std::move(value));
  return values;
}

nlohmann::json json_of(const OptionValue& value) {
  return std::visit([](const auto& held) { return nlohmann::json(held); }, value);
}

}  // namespace otnfm
