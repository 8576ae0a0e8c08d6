/* Penalties theta'P theta on tensor coefficients, with a weight lambda that each cell has its own.
 *
 * ridge: |theta|^2, the paper's (Appendix A.1). difference: the squared second differences along
 * each coordinate (a P-spline). Towards the repeated end knots basis functions crowd, so
 * differences are those of slopes between Greville abscissae xi (the mean of a function's three
 * inner knots), in units of the knot spacing:
 *   (theta_{i+2} - theta_{i+1}) / (xi_{i+2} - xi_{i+1}) - (theta_{i+1} - theta_i) / (xi_{i+1} -
 * xi_i), which is theta_{i+2} - 2 theta_{i+1} + theta_i away from the ends. A score that is linear
 * in each coordinate, that of a Gaussian marginal, is then not penalised at all. Of a log-density
 * the third differences take their place, scaled to be the third derivative of the spline in each
 * interval, per cubed knot spacing: a log-density that is quadratic in each coordinate, that of a
 * Gaussian, is not penalised.
 *
 * Coefficients of a score have the units 1 / y, and so has the other side of their normal
 * equations: the penalties are the same in any units. Those of a log-density have none, while its
 * gradients are per unit of y, so that lambda would be held against rows per squared unit:
 * penalties along a coordinate are multiplied by a weight, proportional to the inverse square of
 * its knot spacing h (cells.c). With it the third differences are the second differences of the
 * score, per h: what `difference` penalises in a score. A ridge takes the mean weight of the
 * family's coordinates.
 */
#ifndef EBCRL_PENALTY_H
#define EBCRL_PENALTY_H

#include "family.h"
#include "kronecker.h"

typedef enum { PENALTY_RIDGE = 0, PENALTY_DIFFERENCE = 1 } penalty_kind;

typedef struct {
  penalty_kind kind;
  int n_basis;              /* K */
  int order;                /* of the differences: 2 or 3 */
  const double *difference; /* (K - order) x (order + 1), row by row: the differences D */
  const double *gram;       /* K x (order + 1): entry (i, i + lag) of D'D, lag 0, ..., order */
  spectrum spectrum;        /* of D'D */
  const double *weight;     /* of each latent as a coordinate, or NULL: all 1 */
} penalty;

penalty penalty_new(penalty_kind kind, int order, int knots, allocator alloc);

/* Weight of a family's coordinate k; of a ridge. */
double penalty_weight(const penalty *p, const family *f, int k);
double penalty_ridge_weight(const penalty *p, const family *f);

/* Adds lambda P to a lower band matrix: entry (i, j), i >= j, at band[(i - j) + j * ld]. */
void penalty_add_band(const penalty *p, double lambda, const family *f, double *band, size_t ld);

/* Trace of P. */
double penalty_tensor_trace(const penalty *p, const family *f);

/* Adds lambda D'D to the lower triangle of a K x K matrix. */
void penalty_add_matrix(const penalty *p, double lambda, double *matrix);

/* out += lambda P v. */
void penalty_apply(const penalty *p, double lambda, const family *f, const double *v, double *out);

/* out = (lambda P + shift I)^-1 v, for a penalty without weights; work has room for K^q. */
void penalty_shifted_inverse(const penalty *p, double lambda, const family *f, double shift,
                             const double *v, double *out, double *work);

#endif
