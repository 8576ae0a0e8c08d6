/* Dense kernels that LAPACK and BLAS do not offer in the form the EM wants.
 *
 * Products of a tall matrix with a narrow one go block by block of rows, in a fixed order, so that
 * they give the same bits for every thread count and every BLAS.
 */
#ifndef EBCRL_LINALG_H
#define EBCRL_LINALG_H

#include "workspace.h"

/* out[:, j] = x[start : start + rows, ] b[:, j]; x is n x p, b p x d, column j of out at j * ld. */
void linalg_rows_times(const double *x, size_t n, int p, size_t start, int rows, const double *b,
                       int d, double *out, size_t ld);

/* sum (p x d) += x[start : start + rows, ]' z; column j of z at j * X_ROWS. */
void linalg_rows_cross(const double *x, size_t n, int p, size_t start, int rows, const double *z,
                       int d, double *sum);

/* a'b. */
double linalg_dot(const double *a, const double *b, size_t size);

/* The columns of a (d x d) made orthonormal, in order: Gram-Schmidt, twice for orthogonality to
 * working precision. */
void linalg_orthonormalize(double *a, int d);

/* Columns of a (d x d) of length 1. */
void linalg_normalize(double *a, int d);

/* Is every entry of v finite? */
int linalg_finite(const double *v, size_t size);

#endif
