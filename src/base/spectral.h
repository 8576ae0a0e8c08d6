/* Eigenvalue problems of symmetric matrices. */
#ifndef EBCRL_SPECTRAL_H
#define EBCRL_SPECTRAL_H

#include "workspace.h"

typedef struct {
  int d, lwork;
  double *vectors, *square; /* d x d: what is decomposed, then its eigenvectors; scratch */
  double *values, *work;    /* d, ascending; lwork */
} spectral_work;

spectral_work spectral_work_new(int d, allocator alloc);

double spectral_work_doubles(double d);

/* Eigenvectors of w->vectors in place. */
int spectral_decompose(spectral_work *w);

#endif
