// otnfm: one-step generative models by OT-NFM, from the command line. Exit codes: 0 success, 1 failure while running, 2
// bad usage or bad input.
#include <cstdio>
#include <exception>
#include <new>

#include "kernels/error.h"
#include "tools/command.h"

int main(int argc, char** argv) {
  CLI::App program("One-step generative models: a neural flow trained on pairs from optimal transport.", "otnfm");
  program.require_subcommand(1);
  program.failure_message(
      [](const CLI::App*, const CLI::Error& error) { return std::string("otnfm: error: ") + error.what() + "\n"; });
  otnfm::add_train(program);
  otnfm::add_sample(program);
  otnfm::add_eval(program);
  otnfm::add_couple(program);
  otnfm::add_info(program);
  try {
    if (argc > 1 && argv[1][0] != '-' && !program.get_subcommand_no_throw(argv[1]))
      throw otnfm::InputError(std::string("unknown command '") + argv[1] + "': there are train, sample, eval, couple, info");
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : 2;  // --help is not a failure
  } catch (const otnfm::InputError& error) {
    std::fprintf(stderr, "otnfm: error: %s\n", error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "otnfm: error: out of memory\n");
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "otnfm: error: %s\n", error.what());
    return 1;
  }
}
