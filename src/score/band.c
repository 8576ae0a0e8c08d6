#include "band.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <string.h>

double band_width(int n_coord, int n_basis) {
  double kd = 0, stride = 1;
  for (int k = 0; k < n_coord; k++, stride *= n_basis)
    kd += (ORDER - 1) * stride;
  return kd;
}

band_shape band_of(const family *f, int n_basis) {
  band_shape shape = {.m = (int)f->n_coef, .kd = (int)band_width(f->n_coord, n_basis)};
  shape.ld = (size_t)shape.kd + 1 + BAND_PADDING;
  shape.total = f->n_coef + BAND_PADDING + shape.ld * f->n_coef;
  return shape;
}

static double mean_diagonal(const double *band, band_shape shape) {
  double sum = 0;
  for (int g = 0; g < shape.m; g++)
    sum += band[(size_t)g * shape.ld];
  return sum / shape.m;
}

int band_solve(const double *band, band_shape shape, double *factor, double *rhs, int *jittered) {
  const int one = 1, ld = (int)shape.ld;
  double jitter = 1e-10 * mean_diagonal(band, shape);
  int info = 0;
  for (int attempt = 0; attempt < 4; attempt++) {
    memcpy(factor, band, (shape.ld * (size_t)shape.m - BAND_PADDING) * sizeof(double));
    *jittered = attempt > 0;
    if (attempt > 0) {
      for (int g = 0; g < shape.m; g++)
        factor[(size_t)g * shape.ld] += jitter;
      jitter *= 100;
    }
    F77_CALL(dpbtrf)("L", &shape.m, &shape.kd, factor, &ld, &info FCONE);
    if (info == 0) {
      F77_CALL(dpbtrs)
      ("L", &shape.m, &shape.kd, &one, factor, &ld, rhs, &shape.m, &info FCONE);
      return STATUS_OK;
    }
  }
  return STATUS_SINGULAR;
}

double band_quadratic(const double *band, band_shape shape, const double *theta, double *work) {
  const int one = 1, ld = (int)shape.ld;
  const double alpha = 1, beta = 0;
  F77_CALL(dsbmv)
  ("L", &shape.m, &shape.kd, &alpha, band, &ld, theta, &one, &beta, work, &one FCONE);
  double sum = 0;
  for (int g = 0; g < shape.m; g++)
    sum += theta[g] * work[g];
  return sum;
}
