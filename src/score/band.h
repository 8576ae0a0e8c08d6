/* The normal equations of one family of coordinates as a band matrix.
 *
 * The tensor Gram matrix is banded: features of one row differ by at most
 * kd = 3 (K^(q-1) + ... + 1) in the lexicographic index. LAPACK's band storage (kd + 1) x m holds
 * it.
 */
#ifndef EBCRL_BAND_H
#define EBCRL_BAND_H

#include "family.h"

/* Normal equations of a family in LAPACK's lower band storage: entry (i, j), i >= j, of the m x m
 * matrix at band[(i - j) + j * ld]. Three slots above the diagonal take what is added there. */
enum { BAND_PADDING = ORDER - 1 };

typedef struct {
  int m, kd;    /* K^q coefficients; half-bandwidth 3 (K^(q - 1) + ... + 1) */
  size_t ld;    /* kd + 1 + BAND_PADDING */
  size_t total; /* of a copy: right-hand side, padding, band */
} band_shape;

band_shape band_of(const family *f, int n_basis);

/* Half-bandwidth kd for n_coord coordinates of n_basis functions. */
double band_width(int n_coord, int n_basis);

/* Solves band * x = rhs; rhs becomes x. factor, ld x m, receives the Cholesky factor. If the
 * factorisation fails, a jitter of 1e-10 times the mean diagonal is added, growing a hundredfold up
 * to three times, and *jittered is set. */
int band_solve(const double *band, band_shape shape, double *factor, double *rhs, int *jittered);

/* theta'G theta for a lower band matrix; work: m. */
double band_quadratic(const double *band, band_shape shape, const double *theta, double *work);

#endif
