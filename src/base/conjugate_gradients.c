#include "conjugate_gradients.h"

#include "linalg.h"

#include <math.h>

/* Products between two calls of poll; iterations in which the residual has to come below its
 * least so far: where it does not, rounding rules. */
enum { POLL_EVERY = 8, PATIENCE = 2000 };

static const double NEAR = 1e3; /* times the goal */

int conjugate_gradients(const cg_problem *problem, const double *rhs, double *solution,
                        cg_result *result) {
  size_t size = problem->size;
  double *r = problem->residual, *p = problem->direction, *z = problem->product;
  problem->times(problem->system, solution, z);
  for (size_t g = 0; g < size; g++)
    r[g] = rhs[g] - z[g];
  problem->precondition(problem->system, r, p);
  double rz = linalg_dot(r, p, size);
  int iteration = 0, since = 0;
  double norm = sqrt(linalg_dot(r, r, size)), least = INFINITY;
  while (norm > problem->goal && iteration < problem->max_iter) {
    if (norm < least) {
      least = norm;
      since = iteration;
    } else if (iteration - since >= PATIENCE)
      break;
    problem->times(problem->system, p, z);
    double curvature = linalg_dot(p, z, size), alpha = rz / curvature;
    if (curvature == 0 && isfinite(problem->most_rise))
      break;
    if (!isfinite(alpha))
      return STATUS_NOT_FINITE;
    for (size_t g = 0; g < size; g++)
      r[g] -= alpha * z[g];
    double after = sqrt(linalg_dot(r, r, size));
    if (after > problem->most_rise * least && least < NEAR * problem->goal)
      break;
    norm = after;
    for (size_t g = 0; g < size; g++)
      solution[g] += alpha * p[g];
    problem->precondition(problem->system, r, z);
    double next = linalg_dot(r, z, size), beta = next / rz;
    for (size_t g = 0; g < size; g++)
      p[g] = z[g] + beta * p[g];
    rz = next;
    iteration++;
    if (problem->poll && iteration % POLL_EVERY == 0)
      problem->poll();
  }
  result->iterations = iteration;
  result->residual = norm;
  return STATUS_OK;
}
