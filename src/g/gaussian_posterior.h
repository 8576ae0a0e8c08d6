/* The posterior of the latents under a linear-Gaussian structural causal model (linear_scm.h),
 * which is (6.2) with linear mechanisms.
 *
 * Given the target states the latents are Gaussian with precision Lambda = sum_j r_j r_j' / v_j and
 * Lambda m = sum_j r_j b_j / v_j, where r_j is the unit vector of j less the slopes of j and b_j
 * its intercept: no order of the nodes is needed.
 */
#ifndef EBCRL_GAUSSIAN_POSTERIOR_H
#define EBCRL_GAUSSIAN_POSTERIOR_H

#include "linear_scm.h"

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
int gaussian_posterior_of(const linear_scm *m, const int *states, int stride, const double *gram,
                          double sigma2, gaussian_posterior *out);

#endif
