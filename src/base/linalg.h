/* Dense kernels that LAPACK and BLAS do not offer in the form the EM wants.
 *
 * Products of a tall matrix with a narrow one go block by block of rows, in a fixed order, so that
 * they give the same bits for every thread count and every BLAS.
 */
#ifndef EBCRL_LINALG_H
#define EBCRL_LINALG_H

#include "workspace.h"

/* out[:, j] = x[start : start + rows, ] b[:, j]; x is n x p, b p x d, column j of out at j * ld. */
void rows_times(const double *x, size_t n, int p, size_t start, int rows, const double *b, int d,
                double *out, size_t ld);

/* sum (p x d) += x[start : start + rows, ]' z; column j of z at j * X_ROWS. */
void rows_cross(const double *x, size_t n, int p, size_t start, int rows, const double *z, int d,
                double *sum);

/* a'b. */
double dot(const double *a, const double *b, size_t size);

/* Is every entry of v finite? */
int all_finite(const double *v, size_t size);

/* Eigenvalue problems of symmetric matrices. */
typedef struct {
  int d, lwork;
  double *vectors, *square; /* d x d: what is decomposed, then its eigenvectors; scratch */
  double *values, *work;    /* d, ascending; lwork */
} spectral_work;

spectral_work spectral_work_new(int d, allocator alloc);

double spectral_work_doubles(double d);

/* Eigenvectors of w->vectors in place. */
int spectral_decompose(spectral_work *w);

typedef struct {
  int p, d, lwork;
  double *a, *u, *vt, *singular, *work;
  int *iwork;
} polar_work;

polar_work polar_work_new(int p, int d, allocator alloc);

/* out = U V' where m = U S V' (p x d, p >= d): the orthonormal matrix closest to m (Procrustes).
 * *rank_deficient is set where the smallest singular value is 0 to working precision: the factor is
 * then not unique. */
int polar_factor_of(const double *m, polar_work *w, double *out, int *rank_deficient);

#endif
