// A table of options: each line is one option of a struct, from which it is read (from JSON, from the command line),
// checked, written and shown in --help. Whoever uses an option has its line: training, or a coupling. JSON is in
// option_table.cpp alone, and no struct need know it.
#pragma once

#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "kernels/error.h"

namespace otnfm {

/// What an option holds; the alternative is its kind. Seeds are integers too, of at most 2^63 - 1.
using OptionValue = std::variant<std::int64_t, double, std::string, bool>;
/// By key.
using OptionValues = std::map<std::string, OptionValue, std::less<>>;

/// One of the words that a text may be.
struct OptionWord {
  std::string name, about;
};
using OptionWords = std::vector<OptionWord> (*)();

/// Of a table whose entries have a name, and what they are about.
template <class Entry>
std::vector<OptionWord> words_of(std::span<const Entry> table) {
  std::vector<OptionWord> words;
  for (const Entry& entry : table)
    if constexpr (requires { entry.about; })
      words.push_back({entry.name, entry.about});
    else
      words.push_back({entry.name, ""});
  return words;
}

/// A word that files of earlier versions have, and what it says by the options of today.
struct FormerWord {
  std::string name;
  OptionValues meaning;
};

/// What a number may be, both ends included.
struct OptionRange {
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();

  /// Whether there is a most that somebody could want to know.
  bool bounded_above() const { return most < 0x1p31; }
};

/// What a default may depend on: a file of few columns; a distribution of few dimensions, which can be drawn from
/// without end; images, and all else of more than kFewDimensionsLimit.
enum class DataKind { few_dimensions, endless, many_dimensions };
inline constexpr std::int64_t kFewDimensionsLimit = 16;

/// A default that is not the struct's.
using OptionDefault = std::variant<std::monostate, double, const char*>;

/// What a key is for, without the struct that it is a member of.
struct OptionEntry {
  std::string key, help;
  OptionValue standard = {};  ///< its default
  OptionRange range = {};
  std::vector<OptionWord> words = {};  ///< empty: any text
  std::vector<FormerWord> former = {};
  OptionDefault endless = {}, many = {};  ///< the default for data of these kinds, where it is another

  OptionValue default_for(DataKind kind) const;
};

/// A member that is no text, but is said by a word: an enumeration.
template <class Options>
struct OptionByWord {
  const char* (*get)(const Options& options);
  void (*set)(Options& options, const std::string& word);  ///< one of the field's words
};

/// A line of the table of `Options`.
template <class Options>
struct OptionField {
  using Struct = Options;

  const char* key;  ///< in JSON; on the command line with two dashes, and '-' for '_'
  std::variant<std::int64_t Options::*, std::uint64_t Options::*, double Options::*, std::string Options::*,
               bool Options::*, OptionByWord<Options>>
      member;
  const char* help;
  OptionRange range = {};
  OptionWords words = nullptr;  ///< of a text that is one of a few; null: any text
  OptionDefault endless = {}, many = {};
  std::vector<FormerWord> (*former)() = nullptr;

  OptionValue get(const Options& options) const {
    return std::visit(
        [&](auto pointer) -> OptionValue {
          if constexpr (std::is_same_v<decltype(pointer), OptionByWord<Options>>)
            return std::string(pointer.get(options));
          else if constexpr (std::is_same_v<decltype(pointer), std::uint64_t Options::*>)
            return static_cast<std::int64_t>(options.*pointer);
          else
            return options.*pointer;
        },
        member);
  }
  /// The value has the member's kind.
  void set(Options& options, const OptionValue& value) const {
    std::visit(
        [&](auto pointer) {
          if constexpr (std::is_same_v<decltype(pointer), OptionByWord<Options>>)
            pointer.set(options, std::get<std::string>(value));
          else if constexpr (std::is_same_v<decltype(pointer), std::uint64_t Options::*>)
            options.*pointer = static_cast<std::uint64_t>(std::get<std::int64_t>(value));
          else
            options.*pointer = std::get<std::decay_t<decltype(options.*pointer)>>(value);
        },
        member);
  }
  OptionEntry entry() const {
    return {.key = key,
            .help = help,
            .standard = get(Options()),
            .range = range,
            .words = words ? words() : std::vector<OptionWord>(),
            .former = former ? former() : std::vector<FormerWord>(),
            .endless = endless,
            .many = many};
  }
};

/// Of a table of fields: an array.
template <class Table>
std::vector<OptionEntry> entries_of(const Table& table) {
  std::vector<OptionEntry> entries;
  entries.reserve(std::size(table));
  for (const auto& field : table) entries.push_back(field.entry());
  return entries;
}

/// Whose options some are.
struct OptionOwner {
  std::string name;
  std::vector<OptionEntry> options;
};

/// The options of all owners: a key that several have is there once, and its help says what it is for each, "of one,
/// other: this; of third: that", unless it is the same for all.
std::vector<OptionEntry> merged(const std::vector<OptionOwner>& owners);

/// How an error names an option: by its key ('training configuration: "hold_out"'), or as it was typed (--hold-out).
enum class OptionNames { keys, flags };

/// "--hold-out" of "hold_out"
std::string flag_of(std::string_view key);
/// `what` is whose object it is, "training configuration".
std::string name_of_option(const std::string& key, const std::string& what, OptionNames names);

/// InputError, that begins with `name`, where the value is of another kind than the entry's, out of its range or none
/// of its words. An integer is a number too, and becomes one.
OptionValue checked(const OptionEntry& entry, OptionValue value, const std::string& name);

/// The entry of a key; InputError that says which there are otherwise.
const OptionEntry& entry_of(const std::vector<OptionEntry>& entries, std::string_view key, const std::string& what);

/// What an object has keys for, checked; former words are what they mean now. InputError names the key and the value,
/// or what keys there are for one that is none of them. `what` is whose object it is: "training configuration".
OptionValues read_options(const std::vector<OptionEntry>& entries, const nlohmann::json& configuration,
                          const std::string& what, OptionNames names);

nlohmann::json json_of(const OptionValue& value);

/// The struct of which `values` says some; the others have their defaults. InputError as of read_options().
template <class Table>
auto options_from(const Table& table, const OptionValues& values, const std::string& what) {
  typename std::decay_t<decltype(*std::begin(table))>::Struct options;
  const std::vector<OptionEntry> entries = entries_of(table);
  for (const auto& [key, value] : values) {
    const OptionEntry& entry = entry_of(entries, key, what);
    std::begin(table)[&entry - entries.data()].set(options,
                                                   checked(entry, value, name_of_option(key, what, OptionNames::keys)));
  }
  return options;
}

}  // namespace otnfm
