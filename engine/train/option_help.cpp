// What --help says of an option of training. Defaults are those that a run would have: each is looked up in the options
// that data of a kind, or a family, come with.
#include <fmt/format.h>

#include <utility>

#include "engine/core/json_text.h"
#include "engine/train/options.h"
#include "layers/flows/flow.h"

namespace otnfm {
namespace {

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

std::string range_text(const OptionEntry& entry) {
  if (std::holds_alternative<std::string>(entry.standard)) return "";
  if (!entry.range.bounded_above()) return fmt::format("; at least {}", entry.range.least);
  return fmt::format("; {} to {}", entry.range.least, entry.range.most);
}

}  // namespace

std::string help_of(const OptionEntry& entry) {
  const std::string parentheses = default_text(entry.key) + range_text(entry);
  std::string words;
  const bool described = !entry.words.empty() && !entry.words.front().about.empty();
  for (const OptionWord& word : entry.words)
    words += described ? "\n  " + word.name + ": " + word.about : (words.empty() ? ": " : ", ") + word.name;
  std::string text = entry.help;
  if (!described) text += words;
  if (!parentheses.empty()) text += " (" + parentheses + ")";
  return described ? text + ":" + words : text;
}

}  // namespace otnfm
