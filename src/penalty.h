/* Penalties theta'P theta on tensor coefficients, with a weight lambda that each cell has its own.
 *
 * ridge: |theta|^2, the paper's (Appendix A.1). difference: the squared second differences along
 * each coordinate (a P-spline). Towards the repeated end knots basis functions crowd, so
 * differences are those of slopes between Greville abscissae xi (the mean of a function's three
 * inner knots), in units of the knot spacing:
 *   (theta_{i+2} - theta_{i+1}) / (xi_{i+2} - xi_{i+1}) - (theta_{i+1} - theta_i) / (xi_{i+1} -
 * xi_i), which is theta_{i+2} - 2 theta_{i+1} + theta_i away from the ends. A score that is linear
 * in each coordinate, that of a Gaussian marginal, is then not penalised at all.
 */
#ifndef EBCRL_PENALTY_H
#define EBCRL_PENALTY_H

#include "family.h"

typedef enum { PENALTY_RIDGE = 0, PENALTY_DIFFERENCE = 1 } penalty_kind;

typedef struct {
  penalty_kind kind;
  int n_basis;              /* K */
  const double *difference; /* (K - 2) x 3, row by row: the second differences D */
  const double *gram;       /* K x 3: entry (i, i + lag) of D'D, lag 0, 1, 2 */
  const double *values;     /* K: eigenvalues of D'D */
  const double *vectors;    /* K x K: eigenvectors in columns */
} penalty;

penalty penalty_new(penalty_kind kind, int knots, allocator alloc);

/* Adds lambda P to a lower band matrix: entry (i, j), i >= j, at band[(i - j) + j * ld]. */
void penalty_add_band(const penalty *p, double lambda, const family *f, double *band, size_t ld);

/* out += lambda P v. */
void penalty_apply(const penalty *p, double lambda, const family *f, const double *v, double *out);

/* out = (lambda P + shift I)^-1 v; work has room for K^q. */
void penalty_shifted_inverse(const penalty *p, double lambda, const family *f, double shift,
                             const double *v, double *out, double *work);

#endif
