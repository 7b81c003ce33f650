/* otnfm for C and for everything that calls C. No exception leaves it; a function that can fail returns a status, and
 * puts one line that names what is wrong into `error`, which may be null (otnfm_last_error() has it too). Objects are
 * made and freed here. Matrices are row-major.
 *
 * An otnfm_generator is a model's weights: any thread may use it. An otnfm_context is what one thread needs to sample,
 * an otnfm_coupler what one thread needs to pair: one call at a time. Their calls allocate nothing, take no lock and
 * use no other thread, but where it is said below. A context keeps the weights alive, so the generator may be freed
 * before it.
 */
#ifndef OTNFM_C_H
#define OTNFM_C_H

#include <stddef.h>
#include <stdint.h>

#include "engine/api/version.h"

/* So that an enum is an int in C++ too, as it is in C. */
#ifdef __cplusplus
#define OTNFM_INT : int
extern "C" {
#else
#define OTNFM_INT
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default) /* the library shows these and hides the rest */
#endif

typedef enum OTNFM_INT {
  OTNFM_OK = 0,
  OTNFM_RUN_ERROR = 1,  /* the machine failed: no memory, no device */
  OTNFM_INPUT_ERROR = 2 /* what was handed in is wrong */
} otnfm_status;

typedef struct {
  char text[256]; /* one line, ended by 0; cut off where it is longer */
} otnfm_error;

typedef enum OTNFM_INT { OTNFM_CPU = 0, OTNFM_CUDA = 1 } otnfm_device;
typedef enum OTNFM_INT {
  OTNFM_FLOAT32 = 0,
  OTNFM_FLOAT64 = 1,
  OTNFM_BFLOAT16 = 2,
  OTNFM_INT32 = 3,
  OTNFM_INT64 = 4
} otnfm_dtype;
typedef otnfm_dtype otnfm_precision; /* of a generator: OTNFM_FLOAT32 or OTNFM_BFLOAT16 */
typedef enum OTNFM_INT { OTNFM_SQUARED_EUCLIDEAN = 0, OTNFM_EUCLIDEAN = 1, OTNFM_NEGATIVE_DOT = 2 } otnfm_cost;

typedef struct otnfm_generator otnfm_generator;
typedef struct otnfm_context otnfm_context;
typedef struct otnfm_coupler otnfm_coupler;

/* The version of the library; OTNFM_VERSION is that of the header. */
const char* otnfm_version(void);

/* What went wrong in this thread's last call that failed (at most 1023 characters); "" before the first. Valid until
 * its next failure. */
const char* otnfm_last_error(void);

/* How many threads solvers take that are not told a number: 0, at first, for OMP_NUM_THREADS, or else all processors
 * that the process may use. */
void otnfm_set_threads(int threads);

/* Reads model.safetensors onto a device. */
otnfm_status otnfm_generator_load(const char* path, otnfm_device device, otnfm_precision precision,
                                  otnfm_generator** generator, otnfm_error* error);
void otnfm_generator_free(otnfm_generator* generator); /* null does nothing, here and below */

/* d, the numbers of a sample; 0 for null. */
int64_t otnfm_generator_dimension(const otnfm_generator* generator);

/* Of a sample, whose d numbers lie in this order: height, width, channels of an image; 1, 1, d of all else. 0, 0, 0 for
 * null. */
void otnfm_generator_sample_shape(const otnfm_generator* generator, int64_t shape[3]);

/* Allocates all that sampling max_batch rows at a time needs, and runs it once. */
otnfm_status otnfm_generator_prepare(const otnfm_generator* generator, int64_t max_batch, otnfm_context** context,
                                     otnfm_error* error);

/* The same, and what otnfm_inverse needs, and otnfm_log_prob where `log_prob` is not 0. OTNFM_INPUT_ERROR where the
 * model's family has no inverse, or, for log_prob, its source no density. */
otnfm_status otnfm_generator_prepare_inverse(const otnfm_generator* generator, int64_t max_batch, int log_prob,
                                             otnfm_context** context, otnfm_error* error);
void otnfm_context_free(otnfm_context* context);

/* Samples first_row .. first_row + n - 1 of a seed to out [n, d], row-major: the same numbers however a request is
 * split. On CUDA `out` is device memory and `stream` a cudaStream_t, and the call returns before the work is done; a
 * null stream is the context's own. On the CPU `stream` is ignored. */
otnfm_status otnfm_sample(otnfm_context* context, void* stream, uint64_t seed, int64_t first_row, int64_t n, float* out,
                          otnfm_error* error);

/* out = F(1, noise), both [n, d]; they may be the same memory. */
otnfm_status otnfm_map(otnfm_context* context, void* stream, const float* noise, int64_t n, float* out,
                       otnfm_error* error);

/* out with F(1, out) = data, both [n, d]; they may be the same memory. Families `coupling` and `coupling-spline` have
 * it in closed form. `gru` and `resnet-invertible` iterate: the call waits, allocates, and may end in OTNFM_RUN_ERROR.
 */
otnfm_status otnfm_inverse(otnfm_context* context, void* stream, const float* data, int64_t n, float* out,
                           otnfm_error* error);

/* out[i] = log p(data[i]) in nats; data [n, d], out [n]. Beyond what otnfm_inverse says: the families that iterate have
 * an unbiased estimate above d = 64. */
otnfm_status otnfm_log_prob(otnfm_context* context, void* stream, const float* data, int64_t n, float* out,
                            otnfm_error* error);

/* Waits for the work on the context's own stream. */
otnfm_status otnfm_context_synchronize(otnfm_context* context, otnfm_error* error);

/* For small clouds inside a program that must not wait: from a few hundred points on otnfm_solve() below is faster, but
 * it allocates. Room for clouds of at most n points each, in at most d dimensions. */
otnfm_status otnfm_coupler_create(otnfm_cost cost, int64_t n, int64_t d, otnfm_coupler** coupler, otnfm_error* error);
void otnfm_coupler_free(otnfm_coupler* coupler);

/* The assignment of least total cost: sigma[i] is the target of source point i, -1 where n > m leaves it without one.
 * source [n, d], target [m, d], sigma [n], in host memory. */
otnfm_status otnfm_pair(otnfm_coupler* coupler, const float* source, int64_t n, const float* target, int64_t m,
                        int64_t d, int64_t* sigma, otnfm_error* error);

/* The proof that the last pairing is optimal; its points must still be where they were. It allocates. */
typedef struct {
  double primal_cost; /* mean cost of a pair */
  double dual_bound;  /* no assignment has a lower mean cost */
  double gap;         /* (primal_cost - dual_bound) / |primal_cost| */
  int is_permutation;
} otnfm_certificate;
otnfm_status otnfm_coupler_certificate(const otnfm_coupler* coupler, otnfm_certificate* certificate,
                                       otnfm_error* error);

/* ---- Optimal transport of any size and kind: what the command `otnfm couple` does ----
 *
 *     otnfm_problem problem;
 *     otnfm_solve_options options;
 *     otnfm_solution* solution;
 *     otnfm_problem_init(&problem, sizeof problem);
 *     otnfm_solve_options_init(&options, sizeof options);
 *     problem.n = problem.m = 1000, problem.d = 2;
 *     problem.source = x, problem.target = y;
 *     if (otnfm_solve(&problem, &options, &solution, &error) == OTNFM_OK) ... otnfm_solution_sigma(solution)[i] ...
 *     otnfm_solution_free(solution);
 *
 * A struct begins with its size, as the caller was compiled with it, which its init function sets; so a program goes
 * on with later versions of the library, in which structs may be longer. Any thread may solve, several at a time. */

/* n rows and m columns: two clouds of points, or a matrix of costs. The memory is the caller's, and is read until
 * otnfm_solve() returns, and by otnfm_solution_plan_row(). */
typedef struct {
  size_t size;
  int64_t n, m, d;       /* d, the coordinates of a point, is not read with costs */
  const void* source;    /* [n, d] float32, float64 or bfloat16, or null with costs */
  const void* target;    /* [m, d] */
  const void* costs;     /* [n, m] float32, float64, int32 or int64 (exactly), or null with points */
  int64_t source_stride; /* elements from one row to the next; 0: as many as there are columns */
  int64_t target_stride;
  int64_t costs_stride;
  otnfm_dtype dtype; /* of the points, or of the costs: OTNFM_FLOAT32 */
  otnfm_cost cost;   /* of points: OTNFM_SQUARED_EUCLIDEAN */
  /* Masses, not negative, or null where all are alike; not with OTNFM_AUCTION. Of OTNFM_EXACT the sums of both sides
   * must agree; OTNFM_SINKHORN scales each to 1, unless there is a marginal_penalty. */
  const double* source_weights; /* [n] */
  const double* target_weights; /* [m] */
} otnfm_problem;
void otnfm_problem_init(otnfm_problem* problem, size_t size);

typedef enum OTNFM_INT {
  OTNFM_EXACT = 0,   /* the assignment of least cost; with weights the plan of least cost, at most n + m - 1 entries */
  OTNFM_AUCTION = 1, /* an assignment within max_gap of it, the sooner the larger that is */
  OTNFM_SINKHORN = 2 /* an entropic plan, and pairs from it */
} otnfm_solver;

/* Algorithms of the exact solver. */
typedef enum OTNFM_INT {
  OTNFM_AUTOMATIC = 0, /* its planner chooses; with weights there is no other */
  OTNFM_DENSE = 1,
  OTNFM_SCREENED = 2,  /* points, n = m */
  OTNFM_MULTILEVEL = 3 /* points in few dimensions, n = m */
} otnfm_algorithm;

typedef enum OTNFM_INT { OTNFM_ABSOLUTE = 0, OTNFM_MEAN_COST = 1, OTNFM_STANDARD_DEVIATION = 2 } otnfm_epsilon_unit;

/* How sigma is made from Sinkhorn's plan. */
typedef enum OTNFM_INT {
  OTNFM_PAIRS_AUTOMATIC = 0,   /* a permutation where n = m without weights and penalty, else argmax */
  OTNFM_PAIRS_PERMUTATION = 1, /* one-to-one, at most max_gap above the least cost */
  OTNFM_PAIRS_ARGMAX = 2,      /* the column of each row's largest entry */
  OTNFM_PAIRS_SAMPLED = 3      /* a column drawn from each row, by `seed` */
} otnfm_pairs;

typedef struct {
  size_t size;           /* of what the library knows */
  int64_t iterations;    /* augmenting paths, bids, sweeps or pivots so far */
  double seconds;        /* since the solve began */
  int64_t unproven_rows; /* left for the certificate; -1 while the solver is at work */
} otnfm_progress;

/* Called up to ten times a second while otnfm_solve() is at work, by one thread at a time, which need not be the
 * caller's. 0 ends the solve as a limit does; anything else lets it go on. In otnfm_solve_batch() it is called for
 * whichever problem is at work; where those share their clock (see there), 0 ends all of them. */
typedef int (*otnfm_watch)(void* data, const otnfm_progress* progress);

typedef struct {
  size_t size;
  otnfm_solver solver;       /* OTNFM_EXACT */
  otnfm_algorithm algorithm; /* of the exact solver: OTNFM_AUTOMATIC */
  int threads;               /* 0: those of otnfm_set_threads() */
  int certify;               /* 1: prove the answer, one more pass over all pairs; 0: its bound and gap are NaN */
  double max_gap;          /* relative; negative, at first: the solver's own (auction 1e-6, a permutation of Sinkhorn's
                              potentials 1e-3); 0: optimal */
  double max_seconds;      /* INFINITY */
  int64_t max_iterations;  /* augmenting paths, bids or sweeps; negative, at first: the solver's own */
  otnfm_watch watch;       /* null */
  void* watch_data;        /* the first argument of watch */
  const double* initial_g; /* [m] column potentials to begin with, for OTNFM_AUCTION and OTNFM_SINKHORN; null */
  double epsilon;          /* of OTNFM_SINKHORN, and what follows: 0.05 */
  otnfm_epsilon_unit epsilon_unit; /* what it is a multiple of: OTNFM_STANDARD_DEVIATION of the costs */
  double tolerance;                /* L1 error of the marginals: 1e-3 */
  double marginal_penalty;         /* unbalanced: the price of KL from the marginals; INFINITY: they are kept */
  otnfm_pairs pairs;               /* OTNFM_PAIRS_AUTOMATIC */
  uint64_t seed;                   /* of OTNFM_PAIRS_SAMPLED: 0 */
} otnfm_solve_options;
void otnfm_solve_options_init(otnfm_solve_options* options, size_t size);

/* Where a limit ended the solve sigma is what there was, completed as well as could be quickly, or -1 everywhere where
 * there was nothing yet; the certificate says what it is worth. */
typedef enum OTNFM_INT {
  OTNFM_CONVERGED = 0,
  OTNFM_ITERATION_LIMIT = 1,
  OTNFM_TIME_LIMIT = 2,
  OTNFM_INTERRUPTED = 3,      /* by the watch */
  OTNFM_INFEASIBLE = 4,       /* pairs that are forbidden (cost +infinity, in a matrix) leave no complete assignment */
  OTNFM_NUMERICAL_FAILURE = 5 /* the arithmetic does not reach what was asked: sigma is -1 everywhere */
} otnfm_solve_status;

/* Null options: all as otnfm_solve_options_init() sets it. OTNFM_OK where there is an answer, be it unfinished:
 * otnfm_solution_summary() says. Otherwise *solution is null. */
typedef struct otnfm_solution otnfm_solution;
otnfm_status otnfm_solve(const otnfm_problem* problem, const otnfm_solve_options* options, otnfm_solution** solution,
                         otnfm_error* error);

/* `count` problems, a thread a problem, but for OTNFM_SINKHORN and weights, whose threads share each one. initial_g and
 * max_iterations are for each, max_seconds for the whole stack; of sampled pairs each has draws of its own. On an error
 * in any of them no solution is made. */
otnfm_status otnfm_solve_batch(const otnfm_problem* problems, int64_t count, const otnfm_solve_options* options,
                               otnfm_solution** solutions /* [count] */, otnfm_error* error);
void otnfm_solution_free(otnfm_solution* solution);

/* Numbers that do not apply are NaN. */
typedef struct {
  size_t size;
  otnfm_solve_status status;
  int is_permutation; /* every row, or every column where there are fewer, has one partner */
  int64_t matched;    /* rows with a partner */
  double primal_cost; /* mean cost of a pair, or of a unit of a plan's mass (Sinkhorn's, given its marginals exactly) */
  double dual_bound;  /* no pairing (no plan with these marginals) costs less */
  double gap;         /* (primal_cost - dual_bound) / |primal_cost| */
  double marginal_error; /* L1, of the mass that is not where it belongs */
  int64_t iterations;    /* augmenting paths, bids, sweeps or pivots */
  double seconds;        /* without the certificate */
  double certificate_seconds;
  double epsilon;        /* of Sinkhorn, in the units of the cost, and what follows */
  double transport_cost; /* sum_ij P_ij C_ij */
  double entropic_cost;  /* the regularised problem's dual objective */
  double mass;           /* sum_ij P_ij */
} otnfm_summary;
/* Fills the first `size` bytes of *summary. */
void otnfm_solution_summary(const otnfm_solution* solution, otnfm_summary* summary, size_t size);

/* The solution's own memory, until it is freed. sigma [n]: the column of each row, -1 where it has none. f [n] and
 * g [m]: potentials; of an assignment f_i + g_j <= C_ij, with equality where sigma_i = j; of Sinkhorn's plan
 * P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon). With weights sigma_i is the column of row i's largest entry.
 */
const int64_t* otnfm_solution_sigma(const otnfm_solution* solution);
const double* otnfm_solution_f(const otnfm_solution* solution);
const double* otnfm_solution_g(const otnfm_solution* solution);
const char* otnfm_solution_algorithm(const otnfm_solution* solution); /* "screened", "stored", ... */
const char* otnfm_solution_message(const otnfm_solution* solution);   /* one line where it has not converged, or "" */

/* The exact plan of a problem with weights: how many entries it has, and their rows, columns and masses, by rows and in
 * a row by columns, in the solution's own memory; 0 of others. */
int64_t otnfm_solution_entries(const otnfm_solution* solution, const int64_t** rows, const int64_t** columns,
                               const double** mass);

/* row [m] = P_i., row i of the plan: of an assignment 1 / min(n, m) at sigma_i. Of Sinkhorn's plan the problem's memory
 * must still be there; where the solve ended before it had one this is OTNFM_RUN_ERROR. */
otnfm_status otnfm_solution_plan_row(const otnfm_solution* solution, int64_t i, double* row, otnfm_error* error);

/* Certifies an assignment of the caller's: sigma [n], and g [m], any column potentials. `threads` as in the options. */
otnfm_status otnfm_certify(const otnfm_problem* problem, const int64_t* sigma, const double* g, int threads,
                           otnfm_certificate* certificate, otnfm_error* error);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#undef OTNFM_INT
#ifdef __cplusplus
}
#endif
#endif
