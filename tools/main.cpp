// otnfm: one-step generative models by OT-NFM, from the command line. Exit codes: 0 success, 1 failure while running, 2
// bad usage or bad input.
#include <cstdio>
#include <exception>
#include <new>

#include "kernels/error.h"
#include "tools/command.h"
#include "tools/out_of_memory.h"

namespace {

/// CLI11 would only say that a command is missing.
void require_command(CLI::App& program, const std::string& name) {
  std::string known;
  for (const CLI::App* command : program.get_subcommands([](CLI::App*) { return true; })) {
    if (command->get_name() == name) return;
    known += (known.empty() ? "" : ", ") + command->get_name();
  }
  throw otnfm::InputError("unknown command '" + name + "': there are " + known);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("One-step generative models: a neural flow trained on pairs from optimal transport.", "otnfm");
  program.require_subcommand(1);
  program.failure_message(
      [](const CLI::App*, const CLI::Error& error) { return std::string("otnfm: error: ") + error.what() + "\n"; });
  otnfm::add_train(program);
  otnfm::add_sample(program);
  otnfm::add_eval(program);
  otnfm::add_couple(program);
  otnfm::add_invert(program);
  otnfm::add_map(program);
  otnfm::add_info(program);
  try {
    if (argc > 1 && argv[1][0] != '-') require_command(program, argv[1]);
    if (argc > 1) otnfm::memory_is_for(std::string("otnfm ") + argv[1]);
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : 2;  // --help is not a failure
  } catch (const otnfm::InputError& error) {
    std::fprintf(stderr, "otnfm: error: %s\n", error.what());
    return 2;
  } catch (const otnfm::OutOfMemory& error) {
    otnfm::say_out_of_memory(error.bytes);
    return 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "otnfm: error: out of memory\n");
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "otnfm: error: %s\n", error.what());
    return 1;
  }
}
