// The pool of threads: every part once whoever comes, and nobody is waited for who has not come.
#include "kernels/host/parallel.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <ctime>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace otnfm::host {
namespace {

TEST(Parallel, RunsEveryPartOnce) {
  for (const int threads : {1, 2, 3, 16, 100}) {
    const ThreadLimit limit(threads);
    for (const std::int64_t n : {0, 1, 2, 5, 97, 1000})
      for (const std::int64_t grain : {0, 1, 7, 2000}) {
        std::vector<int> count(static_cast<std::size_t>(n), 0);
        parallel_ranges(n, grain, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) ++count[static_cast<std::size_t>(i)];
        });
        EXPECT_EQ(count, std::vector<int>(static_cast<std::size_t>(n), 1)) << threads << " threads, grain " << grain;
        std::fill(count.begin(), count.end(), 0);
        std::vector<int> of_part(static_cast<std::size_t>(threads), 0);
        parallel_items(0, n, std::max<std::int64_t>(1, grain), threads, [&](std::int64_t i, int part) {
          ++count[static_cast<std::size_t>(i)], ++of_part[static_cast<std::size_t>(part)];
        });
        EXPECT_EQ(count, std::vector<int>(static_cast<std::size_t>(n), 1)) << threads << " threads, chunk " << grain;
        EXPECT_EQ(std::accumulate(of_part.begin(), of_part.end(), 0), n);
      }
  }
}

TEST(Parallel, CutsByLengthGrainAndNumberOfThreadsAlone) {
  const auto cuts = [](std::int64_t n, std::int64_t grain) {
    std::vector<std::int64_t> begins(64, -1);
    parallel_numbered_ranges(
        n, grain, [&](int part, std::int64_t begin, std::int64_t) { begins[static_cast<std::size_t>(part)] = begin; });
    std::erase(begins, -1);
    return begins;
  };
  const ThreadLimit limit(4);
  EXPECT_EQ(cuts(100, 10), (std::vector<std::int64_t>{0, 25, 50, 75}));
  EXPECT_EQ(cuts(100, 40), (std::vector<std::int64_t>{0, 50}));
  EXPECT_EQ(cuts(100, 60), (std::vector<std::int64_t>{0}));
  for (int again = 0; again < 100; ++again) EXPECT_EQ(cuts(10, 1), (std::vector<std::int64_t>{0, 2, 5, 7}));
}

TEST(Parallel, CountsThreadsByTheInnermostLimit) {
  const int usual = thread_count();
  EXPECT_GE(usual, 1);
  {
    const ThreadLimit limit(5);
    EXPECT_EQ(thread_count(), 5);
    {
      const ThreadLimit nothing(0);
      EXPECT_EQ(thread_count(), 5);
      const OneThread one_thread;
      EXPECT_EQ(thread_count(), 1);
    }
    EXPECT_EQ(thread_count(), 5);
    parallel_parts(3, [](int) { EXPECT_EQ(thread_count(), 1); });  // a part's own loops stay with it
    std::thread([&] { EXPECT_EQ(thread_count(), usual); }).join();
  }
  set_thread_count(7);
  EXPECT_EQ(thread_count(), 7);
  std::thread([] { EXPECT_EQ(thread_count(), 7); }).join();
  set_thread_count(0);
  EXPECT_EQ(thread_count(), usual);
}

TEST(Parallel, ThrowsWhatAPartHasThrownWhenTheOthersHaveEnded) {
  for (int again = 0; again < 50; ++again) {
    std::atomic<int> ended{0};
    try {
      parallel_parts(4, [&](int part) {
        if (part == again % 4) throw std::runtime_error("part");
        ended.fetch_add(1);
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "part");
    }
    EXPECT_EQ(ended.load(), 3);
  }
}

TEST(Parallel, ServesManyCallersAtOnce) {
  constexpr int kCallers = 8, kLoops = 300, kLength = 100;
  std::vector<std::thread> callers;
  callers.reserve(kCallers);
  std::vector<int> wrong(kCallers, 0);
  for (int caller = 0; caller < kCallers; ++caller)
    callers.emplace_back([caller, &wrong] {
      const ThreadLimit limit(2 + caller % 3);
      std::vector<std::int64_t> values(kLength);
      for (int loop = 0; loop < kLoops; ++loop) {
        parallel_ranges(kLength, 1, [&](std::int64_t begin, std::int64_t end) {
          parallel_ranges(end - begin, 1, [&](std::int64_t first, std::int64_t last) {  // nested
            for (std::int64_t i = begin + first; i < begin + last; ++i) values[static_cast<std::size_t>(i)] = i + loop;
          });
        });
        for (std::int64_t i = 0; i < kLength; ++i)
          if (values[static_cast<std::size_t>(i)] != i + loop) ++wrong[static_cast<std::size_t>(caller)];
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, std::vector<int>(kCallers, 0));
}

TEST(Parallel, UsesOtherThreadsAndLeavesThemNoSignals) {
  // A part that waits for the other to have begun ends only where two threads are at it.
  std::atomic<int> begun{0}, blocked{0};
  const pthread_t caller = pthread_self();
  parallel_parts(2, [&](int) {
    begun.fetch_add(1);
    while (begun.load() < 2) std::this_thread::yield();
    if (pthread_equal(caller, pthread_self()) != 0) return;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    if (sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1) blocked.fetch_add(1);
  });
  EXPECT_EQ(blocked.load(), 1);
}

double process_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

TEST(Parallel, WastesNoTimeOfAProcessorThatOthersUse) {
  // Other programs keep every processor busy, so that a thread of the pool often has none. What counts is this
  // program's processor time, which no other program lengthens: who waits by spinning spends milliseconds a loop.
  const int processors = thread_count();
  std::vector<pid_t> others;
  for (int k = 0; k < std::min(2 * processors, 8); ++k) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (std::atomic<int> spin{0};;) spin.fetch_add(1, std::memory_order_relaxed);
    }
    others.push_back(child);
  }
  const auto run = [](int threads) {
    const ThreadLimit limit(threads);
    std::vector<double> sums(static_cast<std::size_t>(threads));
    const double start = process_seconds();
    for (int loop = 0; loop < 200; ++loop)
      parallel_parts(threads, [&](int part) {
        double sum = 0;
        for (int k = 0; k < 40000 / threads; ++k) sum = sum * 0.5 + k;
        sums[static_cast<std::size_t>(part)] = sum;
      });
    return process_seconds() - start;
  };
  const double alone = run(1), together = run(std::min(processors + 1, 4));
  for (const pid_t child : others) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  // Spinning costs 200 waits of a time slice, which is a good part of a second.
  EXPECT_LE(together, 4 * alone + 0.1);
}

#if !defined(__SANITIZE_THREAD__)  // which starts no threads after a fork
TEST(Parallel, WorksInAForkedChildWhichHasNoneOfTheThreads) {
  parallel_parts(4, [](int) {});
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> sum{0};
    for (int loop = 0; loop < 100; ++loop) parallel_parts(4, [&](int part) { sum.fetch_add(part); });
    _exit(sum.load() == 600 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}
#endif

}  // namespace
}  // namespace otnfm::host
