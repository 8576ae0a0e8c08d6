/* Small symmetric matrices as packed lower triangles, by columns: those of single rows. */
#ifndef EBCRL_PACKED_H
#define EBCRL_PACKED_H

#include <stddef.h>

enum { PACKED_MOST = 64 }; /* rows at most */

/* Numbers of a triangle, and where one of them (row >= column) stands. */
static inline size_t packed_size(int q) {
  return (size_t)q * ((size_t)q + 1) / 2;
}

static inline size_t packed_at(int q, int row, int column) {
  return (size_t)column * (size_t)q - (size_t)column * ((size_t)column + 1) / 2 + (size_t)row;
}

enum { PACKED_NUMBERS = (PACKED_MOST + 1) * (PACKED_MOST + 2) / 2 };

/* a = L L' in place; the log of its determinant, NaN where it is not positive definite. */
double packed_cholesky(double *a, int q);

/* b = (L L')^-1 b. */
void packed_solve(const double *l, int q, double *b);

/* out (packed) = (L L')^-1. */
void packed_inverse(const double *l, int q, double *out);

#endif
