#include "polar.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <float.h>
#include <string.h>

polar_work polar_work_new(int p, int d, allocator alloc) {
  polar_work w = {.p = p, .d = d};
  size_t tall = (size_t)p * (size_t)d;
  double best;
  int query = -1, info;
  w.a = alloc(tall, sizeof(double));
  w.u = alloc(tall, sizeof(double));
  w.vt = alloc((size_t)d * (size_t)d, sizeof(double));
  w.singular = alloc((size_t)d, sizeof(double));
  w.iwork = alloc(8 * (size_t)d, sizeof(int));
  F77_CALL(dgesdd)
  ("S", &p, &d, w.a, &p, w.singular, w.u, &p, w.vt, &d, &best, &query, w.iwork, &info FCONE);
  w.lwork = (int)best;
  w.work = alloc((size_t)w.lwork, sizeof(double));
  return w;
}

int polar_factor_of(const double *m, polar_work *w, double *out, int *rank_deficient) {
  int p = w->p, d = w->d, info;
  const double one = 1, zero = 0;
  memcpy(w->a, m, (size_t)p * (size_t)d * sizeof(double));
  F77_CALL(dgesdd)
  ("S", &p, &d, w->a, &p, w->singular, w->u, &p, w->vt, &d, w->work, &w->lwork, w->iwork,
   &info FCONE);
  if (info != 0)
    return STATUS_SVD;
  *rank_deficient = w->singular[d - 1] <= p * DBL_EPSILON * w->singular[0];
  F77_CALL(dgemm)
  ("N", "N", &p, &d, &d, &one, w->u, &p, w->vt, &d, &zero, out, &p FCONE FCONE);
  return STATUS_OK;
}
