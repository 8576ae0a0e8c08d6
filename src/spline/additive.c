#include "additive.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <string.h>

void additive_penalise(const penalty *p, int n_terms, const double *lambda, double jitter,
                       double *gram) {
  int n_basis = p->n_basis;
  size_t size = (size_t)(n_terms * n_basis);
  for (int k = 0; k < n_terms; k++)
    for (int i = 0; i < n_basis; i++) {
      size_t col = (size_t)(k * n_basis + i);
      for (int lag = 0; lag < 3 && i + lag < n_basis; lag++)
        gram[col + (size_t)lag + col * size] += lambda[k] * p->gram[3 * i + lag];
      gram[col + col * size] += jitter;
    }
}

int additive_solve(int size, double *penalised, const double *rhs, double *theta, int inverse) {
  const int one = 1;
  int info;
  memcpy(theta, rhs, (size_t)size * sizeof(double));
  F77_CALL(dposv)("L", &size, &one, penalised, &size, theta, &size, &info FCONE);
  if (info == 0 && inverse)
    F77_CALL(dpotri)("L", &size, penalised, &size, &info FCONE);
  return info == 0 ? STATUS_OK : STATUS_SINGULAR;
}

double additive_residual(int size, const double *gram, const double *rhs, double square,
                         const double *theta, double *scratch) {
  const double unit = 1, zero = 0;
  const int one = 1;
  F77_CALL(dsymv)
  ("L", &size, &unit, gram, &size, theta, &one, &zero, scratch, &one FCONE);
  for (int g = 0; g < size; g++)
    square += theta[g] * (scratch[g] - 2 * rhs[g]);
  return square;
}
