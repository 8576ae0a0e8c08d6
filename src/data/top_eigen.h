/* The leading eigenpairs of D S D, D = diag(scale), S a second-moment matrix.
 *
 * S in memory: LAPACK. Else by blocks, locally optimal (Knyazev 2001, without a preconditioner): a
 * step is one product of S with a block, that is one pass over the rows, and goes on from the
 * vectors of the last call, so that a scale that has moved little takes few passes.
 */
#ifndef EBCRL_TOP_EIGEN_H
#define EBCRL_TOP_EIGEN_H

#include "second_moments.h"

/* Features up to which S goes to LAPACK, where it is in memory. */
enum { DENSE_FEATURES = 500 };

typedef struct {
  int p, q, k;               /* wanted: q; block of k columns, the last k - q being guards */
  const double *second;      /* p x p, or NULL */
  const weighted_rows *rows; /* used where second is NULL */
  double tol;                /* of residuals, relative to the eigenvalue */
  int max_passes;
  double *value;           /* k */
  double *vector;          /* p x k, orthonormal */
  int passes, unconverged; /* counted over calls */
  double *basis, *image;   /* p x 3 k: vectors, residuals, last steps; and D S D times them */
  double *gram, *work;
  int lwork, *iwork;
  int known; /* columns of vector that a matrix nearby has left */
  double *scaled, *scratch;
} top_eigen;

/* Allocates; second (p x p) or rows. */
top_eigen top_eigen_new(int p, int q, const double *second, const weighted_rows *rows,
                        allocator alloc);

/* Start from what top_eigen_block() kept of another matrix: columns times 1 / its scale. The last
 * column of the block stays random, for what the other matrix has not. */
void top_eigen_start(top_eigen *t, const double *scale, const double *block, int columns);

/* block: p x k. */
void top_eigen_block(const top_eigen *t, const double *scale, double *block);

/* value and vector for this scale (p). */
int top_eigen_find(top_eigen *t, const double *scale);

#endif
