/* Quasi-Newton descent (BFGS) over a group of matrices and numbers beside them: rotations of the
 * latents and the parameters of a structural causal model.
 *
 * A step is a vector in the tangent space of the present point; `at` says value and gradient at the
 * point that it leads to, in the coordinates of that point's own tangent space, and `keep` makes
 * that point the present one. Tangent spaces of a group are all the same (left translation), so
 * that differences of gradients make sense as they stand.
 */
#ifndef EBCRL_GROUP_DESCENT_H
#define EBCRL_GROUP_DESCENT_H

#include "workspace.h"

typedef struct {
  int size; /* of a step */
  double (*at)(void *problem, const double *step, double *gradient);
  void (*keep)(void *problem);
  void *problem;
  double tol; /* stops when the quadratic model promises less than this */
  int max_iter;
} group_descent_problem;

typedef struct {
  double *inverse; /* size x size: approximates the inverse Hessian */
  double *gradient, *trial, *direction, *step, *change, *product; /* size each */
} group_descent_work;

group_descent_work group_descent_work_new(int size, allocator alloc);

/* Descends from the present point. scale (size): diagonal of the inverse Hessian to begin with.
 * Returns the least value; *converged: is there less than tol to gain? */
double group_descent(const group_descent_problem *p, group_descent_work *w, const double *scale,
                     int *converged);

#endif
