/* A linear-Gaussian structural causal model as prior of the latents: (6.2) with linear mechanisms.
 *
 *   z_j | z_pa(j) ~ N(intercept_jc + sum_k slope_jck z_k, variance_jc),  c the target state of j
 *
 * Given the target states the latents are Gaussian with precision Lambda = sum_j r_j r_j' / v_j and
 * Lambda m = sum_j r_j b_j / v_j, where r_j is the unit vector of j less the slopes of j and b_j
 * its intercept: no order of the nodes is needed. A standard normal prior is the case without
 * parents, intercepts 0 and variances 1.
 */
#ifndef EBCRL_GAUSSIAN_PRIOR_H
#define EBCRL_GAUSSIAN_PRIOR_H

#include "graph.h"

typedef struct {
  causal_graph graph;
  int d;
  double *intercept, *variance; /* by cell */
  double *slope;                /* cells x d, those of a cell together; 0 where there is no edge */
  double variance_floor;
  int floored; /* variances held at the floor, added to */
} linear_prior;

/* The posterior N(K (Lambda m + A'x / sigma2), K), K = (Lambda + A'A / sigma2)^-1, for one
 * combination of targets. */
typedef struct {
  double *shift;      /* d: Lambda m */
  double *covariance; /* d x d: K */
  double *root;       /* d x d: lower Cholesky factor of K^-1 */
  double log_det;     /* log |Lambda| - log |K^-1| */
  double square;      /* m'Lambda m */
} gaussian_posterior;

gaussian_posterior gaussian_posterior_new(int d, allocator alloc);

/* states: of node j at states[j * stride]; gram: A'A. */
int gaussian_posterior_of(const linear_prior *m, const int *states, int stride, const double *gram,
                          double sigma2, gaussian_posterior *out);

/* What the M-step needs of the latents under one combination of targets. */
typedef struct {
  const int *states;
  int stride;
  double weight;        /* rows, weighted */
  const double *mean;   /* d: E z */
  const double *second; /* d x d: E zz' */
} latent_moments;

/* Scratch of linear_prior_fit. */
typedef struct {
  double *mean, *cov;    /* of the pooled family: d, d x d */
  double *gram, *slopes; /* of the regression */
} regression_work;

regression_work regression_work_new(int d, allocator alloc);

/* Intercepts, slopes and variances that maximise the expected log-likelihood: in each cell the
 * regression of the node on its parents, over the groups in its state. Cells without rows stay as
 * they are. */
int linear_prior_fit(linear_prior *m, const latent_moments *group, int n_groups,
                     regression_work *w);

#endif
