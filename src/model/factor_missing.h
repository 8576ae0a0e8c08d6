/* Factor analysis of rows with missing entries, by full-information maximum likelihood (Rubin and
 * Thayer 1982; Jamshidian 1997): row i is seen in the features o,
 *   x_o ~ N(mu_o, L_o L_o' + Psi_o),
 * and with P = 1 + L_o' Psi_o^-1 L_o the factors have posterior N(m, P^-1), m = P^-1 L_o' Psi_o^-1
 * (x_o - mu_o). The M-step regresses each feature, over the rows that have it, on the factors and 1;
 * then the factors get mean 0 and covariance 1 again (parameter expansion), which speeds the EM.
 *
 *   x         n x p  missing entries are NaN
 *   loadings  p x q  L: start and result
 *   psi       p      start and result
 *   mean      p      start and result; where it is not free it is in the span, L nu
 *
 * Rows are summed by shards, in order: the same bits for any number of threads.
 */
#ifndef EBCRL_FACTOR_MISSING_H
#define EBCRL_FACTOR_MISSING_H

#include "row_noise.h"

typedef struct {
  const weighted_rows *rows; /* `mean` is not read */
  int q, equal, centered;    /* equal: Psi = sigma2 I; centered: the mean is free */
  double tol;                /* gain in log-likelihood below which the EM ends */
  int max_iter;
  void (*poll)(void); /* once an iteration; may not return */
  double *loadings, *psi, *mean;
  noise_model model; /* of psi and mean */
  double *square; /* p: mean square of the observed entries, about their mean if centered */
  double *sums;   /* scratch of all shards */
  double *factor; /* moments of the factors and 1, packed */
  double *nu;     /* q: mean of the factors, 0 where that of x is free */
  double loglik;
  int iterations, converged, floored;
} factor_missing;

factor_missing factor_missing_new(const weighted_rows *rows, int q, allocator alloc);

/* STATUS_SINGULAR where a regression has no solution: a feature with too few entries. */
int factor_missing_fit(factor_missing *f);

#endif
