#include "tools/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>

#include "engine/io/atomic_file.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

template <class T>
struct Value {
  using Type = T;
  static constexpr bool kOptional = false;
};
template <class T>
struct Value<std::optional<T>> {
  using Type = T;
  static constexpr bool kOptional = true;
};

template <class T>
std::string wanted(const Option::Limits& limits) {
  std::string text = std::is_integral_v<T> ? "a whole number" : "a number";
  const bool bounded_below = std::isfinite(limits.least), bounded_above = std::isfinite(limits.most);
  if (bounded_below && bounded_above) return text + fmt::format(" from {} to {}", limits.least, limits.most);
  if (bounded_below) return text + fmt::format(" {} {}", limits.above_least ? "above" : "of at least", limits.least);
  return text;
}

// An output that could not be written is refused before the work, and not after it.
void check_output(const std::string& name, const std::string& typed, const Option::Limits& limits,
                  Command::Outputs& outputs) {
  if (typed == "-") throw InputError(name + " '-': standard output is not written to, name a file");
  if (limits.folder) return;
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(typed, ignored);
  const bool is_device = exists(status) && !is_regular_file(status) && !is_directory(status);
  if (!is_device && std::ranges::none_of(limits.endings, [&](const auto& end) { return typed.ends_with(end); }))
    throw InputError(fmt::format("{} '{}': must end in {}", name, typed, fmt::join(limits.endings, " or ")));
  const std::string real = std::filesystem::weakly_canonical(typed, ignored).string();
  for (const auto& [other, file] : outputs)
    if (!is_device && other != name && file == real)
      throw InputError(fmt::format("{} {}: is what {} writes", name, typed, other));
  outputs.emplace_back(name, real);
  try {
    check_writable(typed);
  } catch (const InputError& error) {
    throw InputError(name + " " + error.what());
  }
}

template <class T>
T read(const std::string& name, const std::string& typed, const Option::Limits& limits, Command::Outputs& outputs) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (typed.empty()) throw InputError(name + " '': wanted a text that is not empty");
    if (!limits.choices.empty() && std::ranges::find(limits.choices, typed) == limits.choices.end())
      throw InputError(fmt::format("{} '{}': wanted {}", name, typed, fmt::join(limits.choices, ", ")));
    if (limits.folder || !limits.endings.empty()) check_output(name, typed, limits, outputs);
    return typed;
  } else {
    T value{};
    const char* begin = typed.data() + (typed.starts_with('+') && !typed.starts_with("+-") ? 1 : 0);
    const char* end = typed.data() + typed.size();
    const auto [stop, error] = std::from_chars(begin, end, value);
    bool right = error == std::errc{} && stop == end;
    if constexpr (std::is_floating_point_v<T>) right = right && std::isfinite(value);
    const auto size = static_cast<double>(value);
    right = right && (limits.above_least ? size > limits.least : size >= limits.least) && size <= limits.most;
    if (!right) {
      const char* fits = error == std::errc::result_out_of_range ? " that this option can hold" : "";
      throw InputError(fmt::format("{} '{}': wanted {}{}", name, typed, wanted<T>(limits), fits));
    }
    return value;
  }
}

}  // namespace

Option& Option::required() {
  option_->required();
  option_->default_str("");  // --help shows no default
  return *this;
}

Option& Option::positive() {
  limits_->least = 0;
  limits_->above_least = true;
  return *this;
}

Option& Option::at_least(double least) {
  limits_->least = least;
  return *this;
}

Option& Option::between(double least, double most) {
  limits_->least = least;
  limits_->most = most;
  return *this;
}

Option& Option::one_of(std::vector<std::string> choices) {
  option_->type_name(fmt::format("{}", fmt::join(choices, "|")));
  limits_->choices = std::move(choices);
  return *this;
}

Option& Option::file(std::vector<std::string> endings) {
  limits_->endings = std::move(endings);
  return *this;
}

Option& Option::folder() {
  limits_->folder = true;
  return *this;
}

template <class T>
Option Command::option(const std::string& names, T& value, const std::string& about) {
  using Type = typename Value<T>::Type;
  constexpr bool kText = std::is_same_v<Type, std::string>;
  constexpr double kUnbounded = std::numeric_limits<double>::infinity();
  auto limits = std::make_shared<Option::Limits>();
  limits->least = std::is_unsigned_v<Type> ? 0 : -kUnbounded;
  limits->most = kUnbounded;
  CLI::Option* option = app_->add_option_function<std::string>(
      names,
      [names, limits, outputs = outputs_, target = &value](const std::string& typed) {
        *target = read<Type>(names, typed, *limits, *outputs);
      },
      about);
  option->type_name(kText ? "TEXT" : std::is_integral_v<Type> ? "INT" : "FLOAT");
  if constexpr (!Value<T>::kOptional) {
    if constexpr (kText)
      option->default_str(value);
    else
      option->default_str(fmt::format("{}", value));
  }
  return {option, std::move(limits)};
}

template Option Command::option(const std::string&, std::string&, const std::string&);
template Option Command::option(const std::string&, double&, const std::string&);
template Option Command::option(const std::string&, int&, const std::string&);
template Option Command::option(const std::string&, std::int64_t&, const std::string&);
template Option Command::option(const std::string&, std::uint64_t&, const std::string&);
template Option Command::option(const std::string&, std::optional<std::string>&, const std::string&);
template Option Command::option(const std::string&, std::optional<double>&, const std::string&);
template Option Command::option(const std::string&, std::optional<int>&, const std::string&);
template Option Command::option(const std::string&, std::optional<std::int64_t>&, const std::string&);
template Option Command::option(const std::string&, std::optional<std::uint64_t>&, const std::string&);

void Command::flag(const std::string& names, bool& value, const std::string& about) {
  app_->add_flag(names, value, about);
}

void Command::run(std::function<void()> action) {
  app_->callback(std::move(action));
}

CommandLine::CommandLine(const std::string& name, const std::string& about, const std::string& version)
    : app_(std::make_unique<CLI::App>(about, name)) {
  app_->set_version_flag("--version", name + " " + version);
  app_->require_subcommand(1);
  app_->failure_message(
      [](const CLI::App*, const CLI::Error& error) { return std::string("otnfm: error: ") + error.what() + "\n"; });
}

CommandLine::~CommandLine() = default;

Command CommandLine::add(const std::string& name, const std::string& about) {
  return Command(app_->add_subcommand(name, about));
}

int CommandLine::parse(int argc, char** argv) try {
  if (argc > 1 && argv[1][0] != '-') {  // CLI11 would only say that a command is missing
    std::vector<std::string> known;
    for (const CLI::App* command : app_->get_subcommands([](CLI::App*) { return true; }))
      known.push_back(command->get_name());
    if (std::ranges::find(known, argv[1]) == known.end())
      throw InputError(fmt::format("unknown command '{}': there are {}", argv[1], fmt::join(known, ", ")));
  }
  app_->parse(argc, argv);
  return 0;
} catch (const CLI::ParseError& error) {
  return app_->exit(error) == 0 ? 0 : 2;  // --help is not a failure
}

}  // namespace otnfm
