#include "spectral.h"

#include <R_ext/Lapack.h>

/* LAPACK's dsyev: (NB + 2) d, with room for its block size. */
enum { EIGEN_WORK = 66 };

spectral_work spectral_work_new(int d, allocator alloc) {
  size_t square = (size_t)d * (size_t)d;
  spectral_work w = {.d = d,
                     .lwork = EIGEN_WORK * d,
                     .vectors = alloc(square, sizeof(double)),
                     .square = alloc(square, sizeof(double)),
                     .values = alloc((size_t)d, sizeof(double)),
                     .work = alloc(EIGEN_WORK * (size_t)d, sizeof(double))};
  return w;
}

double spectral_work_doubles(double d) {
  return 2 * d * d + (EIGEN_WORK + 1) * d;
}

int spectral_decompose(spectral_work *w) {
  int info;
  F77_CALL(dsyev)
  ("V", "L", &w->d, w->vectors, &w->d, w->values, w->work, &w->lwork, &info FCONE FCONE);
  return info == 0 ? STATUS_OK : STATUS_SVD;
}
