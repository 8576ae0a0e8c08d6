/* Inverses of sums of matrices that act on one coordinate each: the preconditioners of conjugate
 * gradients. */
#ifndef EBCRL_KRONECKER_H
#define EBCRL_KRONECKER_H

#include "family.h"

/* A symmetric K x K matrix by its eigenvectors (columns) and eigenvalues. */
typedef struct {
  double *vectors, *values;
} spectrum;

spectrum kronecker_spectrum_new(int n_basis, allocator alloc);

/* Decomposes the matrix whose lower triangle is in s->vectors; work: 3 K. */
int kronecker_spectrum_of(spectrum *s, int n_basis, double *work);

/* out = (scale sum_k I x B_k x I + shift I)^-1 v, B_k on coordinate k of the family. B: an entry a
 * coordinate; work: K^q. */
void kronecker_inverse(const spectrum *b, int n_basis, double scale, const family *f, double shift,
                       const double *v, double *out, double *work);

#endif
