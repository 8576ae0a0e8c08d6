#include "conjugate_gradients.h"

#include "linalg.h"

#include <float.h>
#include <math.h>

/* Products between two calls of poll; iterations in which the residual has to come below its
 * least so far: where it does not, rounding rules. */
enum { POLL_EVERY = 8, PATIENCE = 2000 };

/* The residual that rounding leaves: eps |A| |solution|, |A| from below by the largest Rayleigh
 * quotient of a direction. Under a penalty far heavier than the rows it is above the goal, and
 * the residual of the recurrence falls on without the solution getting better. */
static double rounding_floor(double *norm_a, double curvature, const double *direction,
                             const double *solution, size_t size) {
  *norm_a = fmax(*norm_a, curvature / linalg_dot(direction, direction, size));
  return DBL_EPSILON * *norm_a * sqrt(linalg_dot(solution, solution, size));
}

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
  double norm, least = INFINITY, norm_a = 0, floor = 0;
  while ((norm = sqrt(linalg_dot(r, r, size))) > fmax(problem->goal, floor) &&
         iteration < problem->max_iter) {
    if (norm < least) {
      least = norm;
      since = iteration;
    } else if (iteration - since >= PATIENCE)
      break;
    problem->times(problem->system, p, z);
    double curvature = linalg_dot(p, z, size), alpha = rz / curvature;
    if (!isfinite(alpha))
      return STATUS_NOT_FINITE;
    for (size_t g = 0; g < size; g++) {
      solution[g] += alpha * p[g];
      r[g] -= alpha * z[g];
    }
    floor = rounding_floor(&norm_a, curvature, p, solution, size);
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
