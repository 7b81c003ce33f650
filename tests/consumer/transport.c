/* Optimal transport from C99, of points and of costs, exact, by auction and entropic. */
#include <math.h>
#include <otnfm/c.h>
#include <stdio.h>
#include <stdlib.h>

static otnfm_error error;

static void check(otnfm_status status) {
  if (status == OTNFM_OK) return;
  fprintf(stderr, "transport: %s\n", error.text);
  exit(1);
}

static void expect(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "transport: %s does not hold\n", what);
  exit(1);
}
#define EXPECT(what) expect(what, #what)

static int calls;
static int stop_at_once(void* data, const otnfm_progress* progress) {
  EXPECT(*(int*)data == 7 && progress->iterations >= 0 && progress->seconds >= 0);
  ++calls;
  return 0;
}

enum { n = 60, m = 50, d = 3 };

int main(void) {
  static double source[n * d], target[m * d], row[m];
  static int32_t costs[n * m];
  otnfm_problem points, matrix, stack[3];
  otnfm_solve_options options;
  otnfm_solution *exact, *other, *all[3];
  otnfm_summary summary, best;
  otnfm_certificate proof;
  double mass = 0, cost = 0;
  static double source_weights[n], target_weights[m];
  const int64_t *rows, *columns;
  const double* masses;
  int64_t entries;
  int seven = 7;
  uint32_t state = 1;
  for (int k = 0; k < n * d; ++k) source[k] = (double)(state = state * 1664525u + 1013904223u) / 4294967296.0;
  for (int k = 0; k < m * d; ++k) target[k] = (double)(state = state * 1664525u + 1013904223u) / 4294967296.0;
  for (int k = 0; k < n * m; ++k) costs[k] = (int32_t)((state = state * 1664525u + 1013904223u) >> 12);

  /* Points, as they come: null options ask for the optimum, and its proof. n > m leaves rows without a partner. */
  otnfm_problem_init(&points, sizeof points);
  points.n = n, points.m = m, points.d = d;
  points.dtype = OTNFM_FLOAT64;
  points.source = source, points.target = target;
  check(otnfm_solve(&points, NULL, &exact, &error));
  otnfm_solution_summary(exact, &best, sizeof best);
  EXPECT(best.status == OTNFM_CONVERGED && best.is_permutation && best.matched == m && fabs(best.gap) <= 1e-9);
  for (int i = 0; i < n; ++i) {
    const int64_t j = otnfm_solution_sigma(exact)[i];
    check(otnfm_solution_plan_row(exact, i, row, &error));
    if (j < 0) continue;
    EXPECT(row[j] == 1.0 / m);
    for (int k = 0; k < d; ++k) cost += pow(source[i * d + k] - target[j * d + k], 2) / m;
  }
  EXPECT(fabs(cost - best.primal_cost) <= 1e-12 * cost);
  check(otnfm_certify(&points, otnfm_solution_sigma(exact), otnfm_solution_g(exact), 0, &proof, &error));
  EXPECT(proof.gap == best.gap && proof.is_permutation);
  printf("%d x %d points by %s: mean cost %.6g, gap %.1g\n", n, m, otnfm_solution_algorithm(exact), best.primal_cost,
         best.gap);
  otnfm_solution_free(exact);

  /* Whole costs are exact ones; a stack of problems takes a thread a problem. */
  otnfm_problem_init(&matrix, sizeof matrix);
  matrix.n = n, matrix.m = m;
  matrix.dtype = OTNFM_INT32;
  matrix.costs = costs;
  otnfm_solve_options_init(&options, sizeof options);
  options.threads = 2;
  stack[0] = stack[1] = stack[2] = matrix;
  stack[1].n = 20;                            /* the first rows */
  stack[2].m = 10, stack[2].costs_stride = m; /* the first columns */
  check(otnfm_solve_batch(stack, 3, &options, all, &error));
  for (int b = 0; b < 3; ++b) {
    otnfm_solution_summary(all[b], &summary, sizeof summary);
    EXPECT(summary.gap == 0 && summary.is_permutation && summary.status == OTNFM_CONVERGED);
    otnfm_solution_free(all[b]);
  }

  /* The auction stops at a proven gap. */
  options.solver = OTNFM_AUCTION;
  options.max_gap = 1e-2;
  check(otnfm_solve(&points, &options, &other, &error));
  otnfm_solution_summary(other, &summary, sizeof summary);
  EXPECT(summary.gap <= 1e-2 && summary.primal_cost <= best.primal_cost * 1.0102);
  otnfm_solution_free(other);

  /* An entropic plan has the marginals, and costs a little more than the optimum. */
  options.solver = OTNFM_SINKHORN;
  options.tolerance = 1e-5;
  check(otnfm_solve(&points, &options, &other, &error));
  otnfm_solution_summary(other, &summary, sizeof summary);
  for (int i = 0; i < n; ++i) {
    check(otnfm_solution_plan_row(other, i, row, &error));
    for (int j = 0; j < m; ++j) mass += row[j];
  }
  EXPECT(fabs(mass - 1) <= 1e-5 && summary.marginal_error <= 1e-5 && summary.dual_bound <= summary.primal_cost);
  printf("entropic: cost %.6g, epsilon %.3g, %d iterations\n", summary.primal_cost, summary.epsilon,
         (int)summary.iterations);
  otnfm_solution_free(other);

  /* Weights: the plan of least cost, by its entries. */
  otnfm_solve_options_init(&options, sizeof options);
  for (int i = 0; i < n; ++i) source_weights[i] = 1 + i % 4;
  for (int j = 0; j < m; ++j) target_weights[j] = j % 3 == 0 ? 0 : 150.0 / 33;
  points.source_weights = source_weights, points.target_weights = target_weights;
  check(otnfm_solve(&points, &options, &other, &error));
  otnfm_solution_summary(other, &summary, sizeof summary);
  entries = otnfm_solution_entries(other, &rows, &columns, &masses);
  EXPECT(entries > 0 && entries < n + m && summary.status == OTNFM_CONVERGED && fabs(summary.gap) <= 1e-9);
  cost = mass = 0;
  for (int64_t k = 0; k < entries; ++k) {
    double square = 0;
    for (int c = 0; c < d; ++c) square += pow(source[rows[k] * d + c] - target[columns[k] * d + c], 2);
    cost += masses[k] * square, mass += masses[k];
    EXPECT(columns[k] % 3 != 0);
  }
  EXPECT(fabs(mass - 150) <= 1e-9 && fabs(cost / mass - summary.primal_cost) <= 1e-9);
  otnfm_solution_free(other);
  points.source_weights = points.target_weights = NULL;

  /* Limits and the caller's own word end a solve; there is an answer, and its summary says so. */
  otnfm_solve_options_init(&options, sizeof options);
  options.max_seconds = 0;
  options.watch = stop_at_once, options.watch_data = &seven;
  check(otnfm_solve(&points, &options, &other, &error));
  otnfm_solution_summary(other, &summary, sizeof summary);
  EXPECT(summary.status != OTNFM_CONVERGED);
  otnfm_solution_free(other);

  /* An error is a status and a line of text, and nothing is made. */
  source[4] = NAN;
  EXPECT(otnfm_solve(&points, NULL, &other, &error) == OTNFM_INPUT_ERROR && other == NULL);
  printf("refused: %s\n", error.text);
  return 0;
}
