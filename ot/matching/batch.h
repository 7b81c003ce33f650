// A stack of problems, a thread a problem: what every assignment solver's batch form does.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <span>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/assignment.h"
#include "ot/cost.h"

namespace otnfm {

/// solve(problem, scratch of the thread, result) for each; `scratch` grows to a part a thread. An error in one problem
/// is thrown after the others have finished. `threads` = 0 means host::thread_count(). Throws InputError where the
/// spans have different lengths; `name` begins that message.
template <class Scratch, class Solve>
void solve_batch(const char* name, std::span<const Problem> problems, std::span<Assignment> results, int threads,
                 HostVector<Scratch>& scratch, const Solve& solve) {
  if (problems.size() != results.size())
    throw InputError(fmt::format("{}: {} problems, but room for {} results", name, problems.size(), results.size()));
  const auto count = static_cast<std::int64_t>(problems.size());
  if (threads <= 0) threads = host::thread_count();
  naming_memory([&] { return fmt::format("{} of {} threads", name, threads); },
                [&] {
                  const auto wanted = static_cast<std::size_t>(threads);
                  if (scratch.size() < wanted) scratch.resize(wanted);
                });
  host::Thrown thrown;
  host::parallel_items(
      0, count, 1, static_cast<int>(std::min<std::int64_t>(threads, count)), [&](std::int64_t b, int part) {
        const auto index = static_cast<std::size_t>(b);
        thrown.guard([&] { solve(problems[index], scratch[static_cast<std::size_t>(part)], results[index]); });
      });
  thrown.rethrow();
}

}  // namespace otnfm
