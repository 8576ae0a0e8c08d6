/* The polar factor of a tall matrix. */
#ifndef EBCRL_POLAR_H
#define EBCRL_POLAR_H

#include "workspace.h"

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
