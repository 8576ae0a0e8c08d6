/* Maximum-likelihood factor analysis (Joreskog 1967): S ~ L L' + Psi, q factors, Psi diagonal.
 *
 * For given Psi the best L is Psi^1/2 V (Theta - 1)^1/2, (Theta, V) the q leading eigenpairs of
 * Psi^-1/2 S Psi^-1/2, so that -2/n times the profile log-likelihood is, up to a constant,
 *   F(psi) = sum_j (log psi_j + s_jj / psi_j) + sum_k (log theta_k - theta_k + 1),
 *   dF/dlog psi_j = ((L L')_jj + psi_j - s_jj) / psi_j,
 * theta_k below 1 counting as 1. It is a fit of second moments: the factors need not be normal.
 *
 * S in memory: quasi-Newton in log psi, bounded below (Heywood cases). Else psi = diag(S - L L'),
 * the EM step of psi from the best L (an ECME algorithm: F never rises), which with many features
 * takes few iterations.
 */
#ifndef EBCRL_FACTOR_H
#define EBCRL_FACTOR_H

#include "top_eigen.h"

typedef struct {
  int p, q, equal;      /* equal: Psi = sigma2 I, which is probabilistic PCA */
  const double *square; /* p: diagonal of S */
  double least;         /* of psi_j, as a share of s_jj */
  double tol;           /* of the gradient */
  int max_iter;
  void (*poll)(void); /* once an iteration; may not return */
  top_eigen *eigen;
  double *psi;                        /* p: start and result */
  double *loadings;                   /* p x q: L */
  double *scale, *gradient, *log_psi; /* p */
  double objective;                   /* F */
  int iterations, converged, floored; /* floored: psi_j at the bound */
  int status;                         /* of the last evaluation */
} factor_model;

factor_model factor_new(int p, int q, top_eigen *eigen, allocator alloc);

int factor_fit(factor_model *f, allocator alloc);

#endif
