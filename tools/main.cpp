// otnfm: one-step generative models by OT-NFM, from the command line. Exit codes:
//
//   0     success; also a time limit that was asked for and reached
//   1     failure while running; also a time limit that left nothing: a run without a step, no plan to write
//   2     bad usage or bad input
//   130   interrupted by Ctrl-C
#include <cstdio>
#include <exception>
#include <new>

#include "engine/api/version.h"
#include "kernels/error.h"
#include "tools/command.h"
#include "tools/out_of_memory.h"

namespace {

/// An error is one line, whatever bytes the names in it hold.
void say(const std::string& error) {
  std::string line = "otnfm: error: ";
  for (const char c : error) line += static_cast<unsigned char>(c) < ' ' ? '?' : c;
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  otnfm::CommandLine program(
      "otnfm", "One-step generative models: a neural flow trained on pairs from optimal transport.", OTNFM_VERSION);
  otnfm::add_train(program);
  otnfm::add_sample(program);
  otnfm::add_eval(program);
  otnfm::add_features(program);
  otnfm::add_couple(program);
  otnfm::add_invert(program);
  otnfm::add_map(program);
  otnfm::add_info(program);
  try {
    if (argc > 1) otnfm::memory_is_for(std::string("otnfm ") + argv[1]);
    return program.parse(argc, argv);
  } catch (const otnfm::Interrupted&) {
    return 130;
  } catch (const otnfm::InputError& error) {
    say(error.what());
    return 2;
  } catch (const otnfm::OutOfMemory& error) {
    otnfm::say_out_of_memory(error.bytes);
    return 1;
  } catch (const std::bad_alloc&) {
    say("out of memory");
    return 1;
  } catch (const std::exception& error) {
    say(error.what());
    return 1;
  }
}
