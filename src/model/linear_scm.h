/* The linear structural causal model of the latents, and the moments it implies.
 *
 * Each (node j, target state c) has
 *   z_j = intercept + coefficients' z_pa(j) + u,   Var u = v_jc,
 * from the pooled moments of the domains in that state, of latents or of pseudo-latents, less the
 * variance of their noise (which removes the errors-in-variables bias), as the interventional start
 * has them. The nodes of any combination of targets, seen or not, then have a mean and a
 * covariance. A standard normal prior is the case without parents, intercepts 0 and variances 1.
 *
 *   intercept  n_states x d      row c, column j
 *   variance   n_states x d
 *   slope      d x n_states x d  of parent k at [k + d cell]; 0 for other latents
 */
#ifndef EBCRL_LINEAR_SCM_H
#define EBCRL_LINEAR_SCM_H

#include "graph.h"

typedef struct {
  causal_graph graph;
  double *intercept, *variance, *slope;
  double variance_floor;
  double *work;          /* scratch of one family */
  int floored, left_out; /* variances at the floor, parents left out of a regression: added to */
} linear_scm;

/* Allocates intercepts and variances (not a number: a state without rows), slopes (0), and scratch.
 */
linear_scm linear_scm_new(const causal_graph *g, allocator alloc);

/* The scratch alone, for parameters that are the caller's. */
size_t linear_scm_work(int d);

double linear_scm_doubles(double d, double n_states);

/* Weighted moments of (pseudo-)latents by target set: weight, mean and mean of yy'. */
typedef struct {
  int d, n_groups;
  const int *targets;   /* n_groups x d */
  const double *weight; /* n_groups */
  const double *mean;   /* d x n_groups */
  const double *second; /* d x d x n_groups */
} group_moments;

/* noise: covariance of the noise as a multiple of sigma2 (d x d), NULL for the identity. Parents
 * that the others determine, up to a small share of the noise, are left out of a regression. Cells
 * without rows stay as they are. */
void linear_scm_fit(linear_scm *m, const group_moments *y, const double *noise, double sigma2);

/* Mean (d) and covariance (d x d) of the latents under a combination of targets: that of node j at
 * targets[j * stride]. */
void linear_scm_moments(const linear_scm *m, const int *targets, int stride, double *mean,
                        double *cov);

#endif
