// What --help says of an option of training. Defaults are those that a run would have: each is looked up in the options
// that data of a kind, or a family, come with.
#include <fmt/format.h>

#include <utility>

#include "engine/core/json_text.h"
#include "engine/train/options.h"
#include "layers/flows/flow.h"

namespace otnfm {
namespace {

std::string text_of(const OptionValue& value) {
  const nlohmann::json json = json_of(value);
  return json.is_string() ? json.get<std::string>() : json_text(json);
}

std::string range_text(const OptionEntry& entry) {
  if (std::holds_alternative<std::string>(entry.standard) || std::holds_alternative<bool>(entry.standard)) return "";
  if (!entry.range.bounded_above()) return fmt::format("at least {}", entry.range.least);
  return fmt::format("{} to {}", entry.range.least, entry.range.most);
}

/// "a, b, c"
std::string names_of(const std::vector<OptionWord>& words) {
  std::string text;
  for (const OptionWord& word : words) text += (text.empty() ? "" : ", ") + word.name;
  return text;
}

/// The families with what their keys are by default, then what each key is.
std::string flow_text() {
  std::string text;
  std::vector<OptionOwner> owners;
  for (const FlowFamily& family : flow_families()) {
    OptionOwner owner{family.name, family.options()};
    std::erase_if(owner.options, [](const OptionEntry& entry) { return entry.key == "dimension"; });
    text += std::string("\n  ") + family.name + ": " + family.about + " (";
    const char* separator = "";
    for (const OptionEntry& entry : owner.options) {
      text += separator + entry.key + "=" + text_of(entry.standard);
      if (const OptionValue many = entry.default_for(DataKind::many_dimensions); many != entry.standard)
        text += " or " + text_of(many);
      separator = ", ";
    }
    text += ")";
    for (OptionEntry& entry : owner.options)
      if (const std::string detail = entry.words.empty() ? range_text(entry) : names_of(entry.words); !detail.empty())
        entry.help += " (" + detail + ")";
    owners.push_back(std::move(owner));
  }
  text += fmt::format("\n  where there are two defaults, the second is for more than {} dimensions; the keys are",
                      kFewDimensionsLimit);
  for (const OptionEntry& entry : merged(owners)) text += "\n    " + entry.key + ": " + entry.help;
  return text;
}

/// Options, and of what they are the defaults; the first are those of all that the others do not name.
std::vector<std::pair<std::string, nlohmann::json>> defaults_by_setting() {
  std::vector<std::pair<std::string, nlohmann::json>> all;
  const auto add = [&](const std::string& setting, const TrainingOptions& options) {
    all.emplace_back(setting, options.to_json());
    all.back().second["flow"] = TrainingOptions().flow["family"];
  };
  add("", default_options(DataKind::few_dimensions));
  for (const FlowFamily& family : flow_families())
    add(family.name, default_options(DataKind::few_dimensions, family.name));
  add("of endless points", default_options(DataKind::endless));
  add(fmt::format("images and above {} dimensions", kFewDimensionsLimit), default_options(DataKind::many_dimensions));
  return all;
}

/// "0.002; gru 0.01; images and above 16 dimensions 0.001"
std::string default_text(const std::string& key) {
  static const auto defaults = defaults_by_setting();
  const nlohmann::json& usual = defaults.front().second[key];
  std::string text;
  for (const auto& [setting, options] : defaults) {
    const nlohmann::json& value = options[key];
    if (!setting.empty() && value == usual) continue;
    text += (setting.empty() ? "" : "; " + setting + " ") +
            (value.is_string() ? value.get<std::string>() : json_text(value));
  }
  return text;
}

}  // namespace

std::string help_of(const OptionEntry& entry) {
  const std::string standard = default_text(entry.key), range = range_text(entry),
                    parentheses = standard + (standard.empty() || range.empty() ? "" : "; ") + range;
  const bool described = !entry.words.empty() && !entry.words.front().about.empty();
  std::string text = entry.help;
  if (!described && !entry.words.empty()) text += ": " + names_of(entry.words);
  if (!parentheses.empty()) text += " (" + parentheses + ")";
  if (!described) return text;
  text += ":";
  if (entry.key == "flow") return text + flow_text();
  for (const OptionWord& word : entry.words) text += "\n  " + word.name + ": " + word.about;
  return text;
}

}  // namespace otnfm
