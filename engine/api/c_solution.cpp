#include "engine/api/c_solution.h"

#include <algorithm>

#include "engine/api/c_problem.h"
#include "engine/api/guarded.h"

using otnfm::Assignment;
using otnfm::InputError;
using otnfm::embed::guarded;
using otnfm::embed::require;

void otnfm_solution_free(otnfm_solution* solution) {
  delete solution;
}

void otnfm_solution_summary(const otnfm_solution* solution, otnfm_summary* summary, size_t size) {
  if (solution != nullptr) otnfm::embed::write(solution->summary, summary, size);
}

const int64_t* otnfm_solution_sigma(const otnfm_solution* solution) {
  return solution == nullptr ? nullptr : solution->assignment.sigma.data();
}

const double* otnfm_solution_f(const otnfm_solution* solution) {
  return solution == nullptr ? nullptr : solution->assignment.f.data();
}

const double* otnfm_solution_g(const otnfm_solution* solution) {
  return solution == nullptr ? nullptr : solution->assignment.g.data();
}

const char* otnfm_solution_algorithm(const otnfm_solution* solution) {
  return solution == nullptr ? "" : solution->assignment.algorithm.c_str();
}

const char* otnfm_solution_message(const otnfm_solution* solution) {
  return solution == nullptr ? "" : solution->message.c_str();
}

int64_t otnfm_solution_entries(const otnfm_solution* solution, const int64_t** rows, const int64_t** columns,
                               const double** mass) {
  if (rows != nullptr) *rows = solution == nullptr ? nullptr : solution->rows.data();
  if (columns != nullptr) *columns = solution == nullptr ? nullptr : solution->columns.data();
  if (mass != nullptr) *mass = solution == nullptr ? nullptr : solution->mass.data();
  return solution == nullptr ? 0 : std::ssize(solution->rows);
}

otnfm_status otnfm_solution_plan_row(const otnfm_solution* solution, int64_t i, double* row, otnfm_error* error) {
  return guarded(error, [&] {
    require(solution != nullptr && row != nullptr, "otnfm_solution_plan_row: solution and row must not be null");
    const std::int64_t n = solution->problem.n(), m = solution->problem.m();
    if (i < 0 || i >= n)
      throw InputError("otnfm_solution_plan_row: row " + std::to_string(i) + " of " + std::to_string(n));
    if (solution->is_entropic && !solution->plan)
      throw otnfm::RunError("otnfm_solution_plan_row: the solve ended before there was a plan");
    const Assignment& a = solution->assignment;
    const auto at = static_cast<std::size_t>(i);
    std::fill_n(row, m, 0.0);
    if (solution->has_entries) {
      const auto [first, last] = std::equal_range(solution->rows.begin(), solution->rows.end(), i);
      for (auto entry = first; entry != last; ++entry) {
        const auto k = static_cast<std::size_t>(entry - solution->rows.begin());
        row[solution->columns[k]] = solution->mass[k];
      }
      return;
    }
    if (solution->is_entropic)
      for (std::int64_t j = 0; j < m; ++j) row[j] = (*solution->plan)(i, j);
    else if (a.sigma[at] >= 0)
      row[a.sigma[at]] = 1 / static_cast<double>(std::min(n, m));
  });
}
