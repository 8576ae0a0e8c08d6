/* Roughness and ridge penalties on tensor coefficients.
 *
 * ridge: lambda |theta|^2, the paper's (Appendix A.1). difference: lambda times the squared second
 * differences along each coordinate (P-spline); it leaves scores that are linear in each
 * coordinate, a Gaussian marginal, unpenalised.
 */
#ifndef EBCRL_PENALTY_H
#define EBCRL_PENALTY_H

#include "family.h"
#include "score.h"

/* Adds the penalty to a lower band matrix: entry (i, j), i >= j, at band[(i - j) + j * ld]. */
void penalty_add_band(double *band, size_t ld, const family *f, int n_basis, penalty_kind kind,
                      double lambda);

/* out += P v. */
void penalty_apply(double *out, const double *v, const family *f, int n_basis, penalty_kind kind,
                   double lambda);

/* out += diag P. */
void penalty_add_diagonal(double *out, const family *f, int n_basis, penalty_kind kind,
                          double lambda);

/* Entry (i, i + lag) of D'D, D the (K - 2) x K matrix of second differences; lag 0, 1, 2. */
double second_difference_gram(int i, int lag, int n_basis);

#endif
