// The command line of the program, over CLI11, whose headers only command_line.cpp includes: they take longer to
// compile than any command. Numbers are read here, so that every option refuses what is no number of its kind in the
// same words.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace otnfm {

/// One option of a command, to be narrowed further. What the values may be is checked when the command line is parsed.
class Option {
 public:
  struct Limits {
    double least, most;
    bool above_least = false;          ///< the least itself is refused
    std::vector<std::string> choices;  ///< of text; empty: any
    std::vector<std::string> endings;  ///< of a file to be written; empty: it is none
    bool folder = false;               ///< one that is written to
  };

  Option(CLI::Option* option, std::shared_ptr<Limits> limits) : option_(option), limits_(std::move(limits)) {}

  Option& required();
  Option& positive();
  Option& at_least(double least);
  Option& between(double least, double most);
  Option& one_of(std::vector<std::string> choices);
  /// A file that the command writes, whose name ends in one of these (".npy", ".png"). It is refused at once where it
  /// could not be written, or where another option writes it. "-" (standard output) is refused too; a device or a pipe
  /// that exists, /dev/null say, may have any name.
  Option& file(std::vector<std::string> endings);
  /// A folder that the command writes to: not "-" either.
  Option& folder();

 private:
  CLI::Option* option_;
  std::shared_ptr<Limits> limits_;
};

class Command {
 public:
  explicit Command(CLI::App* app) : app_(app), outputs_(std::make_shared<Outputs>()) {}

  /// An option, or an argument where `names` has no dash: "--steps", "-n", "MODEL". T is std::string, double, int,
  /// std::int64_t, std::uint64_t, or a std::optional of one of them. --help shows what `value` holds now as the
  /// default. A text must not be empty, and a number must be finite and of its type: whatever else is typed is quoted
  /// in an InputError.
  template <class T>
  Option option(const std::string& names, T& value, const std::string& about);
  void flag(const std::string& names, bool& value, const std::string& about);
  void run(std::function<void()> action);

  /// The files that are to be written, by the option that names each.
  using Outputs = std::vector<std::pair<std::string, std::string>>;

 private:
  CLI::App* app_;
  std::shared_ptr<Outputs> outputs_;
};

class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& about, const std::string& version);
  ~CommandLine();

  Command add(const std::string& name, const std::string& about);

  /// Runs the command that was given, whose errors pass through; returns the exit code. Bad usage is one line on stderr
  /// and 2. --help and --version print and return 0.
  int parse(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace otnfm
