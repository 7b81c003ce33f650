// otnfm: one-step generative models by OT-NFM, from the command line. Exit codes: 0 success, 1 failure while running, 2
// bad usage or bad input.
#include <cstdio>
#include <exception>
#include <new>

#include "kernels/error.h"
#include "tools/command.h"
#include "tools/out_of_memory.h"

int main(int argc, char** argv) {
  otnfm::CommandLine program("otnfm",
                             "One-step generative models: a neural flow trained on pairs from optimal transport.");
  otnfm::add_train(program);
  otnfm::add_sample(program);
  otnfm::add_eval(program);
  otnfm::add_couple(program);
  otnfm::add_invert(program);
  otnfm::add_map(program);
  otnfm::add_info(program);
  try {
    if (argc > 1) otnfm::memory_is_for(std::string("otnfm ") + argv[1]);
    return program.parse(argc, argv);
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
