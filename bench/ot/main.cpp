// bench_ot: the benchmarks of the transport solvers, each file of which registers its own.
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
