/* The unmixing of the principal subspace that makes latents causal, for any columns of A: profile
 * likelihood of the interventional linear-Gaussian structural causal model over invertible W.
 *
 * With pseudo-latents y in the principal subspace and z = W y, minus the profile log-likelihood a
 * row is, up to constants,
 *   F(W) = sum_jc n_jc / (2 n) log v_jc(W) - log|det W|,
 * v_jc the residual variance of the regression of z_j on its family's other coordinates. Rows of W
 * may be rescaled: F stays, as n_j0 + n_j1 = n. As regression coefficients minimise v_jc,
 *   dv/dw_j = 2 C r,   dv/dw_k = -2 beta_k C r for the others,   r = w_j - sum_k beta_k w_k,
 * C the pooled covariance of the cell less that of the noise. F costs the same for any number of
 * rows of data.
 */
#ifndef EBCRL_UNMIXING_H
#define EBCRL_UNMIXING_H

#include "rotation.h"

typedef struct {
  int d, n_cells;
  const rotation_cell *cell;
  const double *noise;   /* d x d: covariance of the noise of y */
  double variance_floor; /* of v_jc, as a share of the noise variance of z_j */
  double n;              /* the sum of n_j0 + n_j1 for each j */
  void (*poll)(void);    /* called once a gradient of a descent; may not return */
} unmixing_problem;

typedef struct {
  const unmixing_problem *problem;
  double *lu, *work;      /* d x d */
  double *image;          /* d x d: C times the family's columns */
  double *small, *beta;   /* of a family: q x q, q */
  double *residual, *row; /* d */
  int *pivot;             /* d */
  int *mask;              /* d x d: which entries BFGS moves, all of them */
} unmixing_work;

unmixing_work unmixing_work_new(const unmixing_problem *p, allocator alloc);

/* F at W' (d x d, column j the direction of latent j); gradient: d x d or NULL. INFINITY where W is
 * singular. */
double unmixing_objective(unmixing_work *w, const double *directions, double *gradient);

/* Descends from `directions`, in place, by BFGS. Returns F; *converged: did BFGS say so. */
double unmixing_descend(unmixing_work *w, double *directions, int max_iter, double tol,
                        int *converged);

#endif
