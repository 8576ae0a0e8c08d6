/* Preconditioned conjugate gradients for a symmetric system that is known by its products. */
#ifndef EBCRL_CONJUGATE_GRADIENTS_H
#define EBCRL_CONJUGATE_GRADIENTS_H

#include <stddef.h>

typedef struct {
  size_t size;
  void (*times)(void *system, const double *v, double *out);
  void (*precondition)(void *system, const double *residual, double *out);
  void *system;
  double goal; /* norm of the residual at which to stop */
  int max_iter;
  /* Near the goal, a step that would take the residual above so many times its least is not taken:
   * the direction is one in which the system is singular, and what is left of the residual there is
   * rounding, which a step would divide by another rounding. INFINITY where the preconditioner is
   * too poor to tell. */
  double most_rise;
  void (*poll)(void);                     /* called every few products; may not return; or NULL */
  double *residual, *direction, *product; /* work, size each */
} cg_problem;

typedef struct {
  int iterations;
  double residual; /* its norm */
} cg_result;

/* Solves system * solution = rhs from the given solution on, until the goal is reached, max_iter
 * iterations are done, or the residual no longer falls: STATUS_OK, or STATUS_NOT_FINITE if a
 * step is. */
int conjugate_gradients(const cg_problem *problem, const double *rhs, double *solution,
                        cg_result *result);

#endif
