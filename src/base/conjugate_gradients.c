#include "conjugate_gradients.h"

#include "linalg.h"

#include <math.h>

/* Products between two calls of poll. */
enum { POLL_EVERY = 8 };

int conjugate_gradients(const cg_problem *problem, const double *rhs, double *solution,
                        cg_result *result) {
  size_t size = problem->size;
  double *r = problem->residual, *p = problem->direction, *z = problem->product;
  problem->times(problem->system, solution, z);
  for (size_t g = 0; g < size; g++)
    r[g] = rhs[g] - z[g];
  problem->precondition(problem->system, r, p);
  double rz = dot(r, p, size);
  int iteration = 0;
  while (sqrt(dot(r, r, size)) > problem->goal && iteration < problem->max_iter) {
    problem->times(problem->system, p, z);
    double alpha = rz / dot(p, z, size);
    if (!isfinite(alpha))
      return STATUS_NOT_FINITE;
    for (size_t g = 0; g < size; g++) {
      solution[g] += alpha * p[g];
      r[g] -= alpha * z[g];
    }
    problem->precondition(problem->system, r, z);
    double next = dot(r, z, size), beta = next / rz;
    for (size_t g = 0; g < size; g++)
      p[g] = z[g] + beta * p[g];
    rz = next;
    iteration++;
    if (problem->poll && iteration % POLL_EVERY == 0)
      problem->poll();
  }
  result->iterations = iteration;
  result->residual = sqrt(dot(r, r, size));
  return STATUS_OK;
}
