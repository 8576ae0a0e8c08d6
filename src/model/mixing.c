#include "mixing.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

enum { MAX_ALTERNATIONS = 100, MAX_COLUMN_STEPS = 100 };
static const double SCALE_TOL = 1e-12, COLUMN_TOL = 1e-20;

/* Least D: second moments of the latents, about 1 / D^2, have to be representable. */
static const double SCALE_LEAST = 1e-100;

static double column_dot(const double *a, const double *b, int p, int j) {
  size_t at = (size_t)j * (size_t)p;
  return linalg_dot(a + at, b + at, (size_t)p);
}

static void flip_column(double *a, int p, int j) {
  for (int k = 0; k < p; k++)
    a[(size_t)j * (size_t)p + (size_t)k] *= -1;
}

int mixing_procrustes(const double *cross, const double *scale, polar_work *w, double *scratch,
                      double *orthonormal, int *rank_deficient) {
  size_t p = (size_t)w->p, tall = p * (size_t)w->d;
  for (size_t g = 0; g < tall; g++)
    scratch[g] = cross[g] * scale[g / p];
  return polar_factor_of(scratch, w, orthonormal, rank_deficient);
}

/* D given O; a latent whose column points the wrong way is turned, so that D stays positive. */
static double update_scale(const double *cross, const double *second, int p, int d,
                           double *orthonormal, double *scale) {
  double change = 0, largest = 0;
  for (int j = 0; j < d; j++) {
    double s = column_dot(orthonormal, cross, p, j) / second[j];
    if (s < 0) {
      flip_column(orthonormal, p, j);
      s = -s;
    }
    change = fmax(change, fabs(s - scale[j]));
    largest = fmax(largest, s);
    scale[j] = s;
  }
  return change / largest;
}

int mixing_alternate(const double *cross, const double *second, polar_work *w, double *scratch,
                     double *orthonormal, double *scale, int *rank_deficient) {
  int status = STATUS_OK;
  double change = INFINITY;
  for (int k = 0; k < MAX_ALTERNATIONS && change > SCALE_TOL && status == STATUS_OK; k++) {
    status = mixing_procrustes(cross, scale, w, scratch, orthonormal, rank_deficient);
    change = update_scale(cross, second, w->p, w->d, orthonormal, scale);
  }
  for (int j = 0; j < w->d && status == STATUS_OK; j++)
    if (!(scale[j] > SCALE_LEAST))
      status = STATUS_SHRUNK;
  return status;
}

int mixing_least_squares(const double *cross, const double *second, int p, int d, double *square,
                         double *mixing) {
  const double one = 1;
  int info;
  memcpy(square, second, (size_t)d * (size_t)d * sizeof(double));
  F77_CALL(dpotrf)("L", &d, square, &d, &info FCONE);
  if (info != 0)
    return STATUS_DEPENDENT;
  memcpy(mixing, cross, (size_t)p * (size_t)d * sizeof(double));
  F77_CALL(dtrsm)
  ("R", "L", "T", "N", &p, &d, &one, square, &d, mixing, &p FCONE FCONE FCONE FCONE);
  F77_CALL(dtrsm)
  ("R", "L", "N", "N", &p, &d, &one, square, &d, mixing, &p FCONE FCONE FCONE FCONE);
  return STATUS_OK;
}

void mixing_unit_columns(const double *cross, const double *second, int p, int d, double *next,
                         double *mixing) {
  size_t tall = (size_t)p;
  double change = 1;
  for (int step = 0; step < MAX_COLUMN_STEPS && change > COLUMN_TOL; step++) {
    change = 0;
    for (int j = 0; j < d; j++) {
      double *column = mixing + (size_t)j * tall;
      memcpy(next, cross + (size_t)j * tall, tall * sizeof(double));
      for (int k = 0; k < d; k++)
        for (size_t i = 0; k != j && i < tall; i++)
          next[i] -= second[k + j * d] * mixing[(size_t)k * tall + i];
      double norm = sqrt(linalg_dot(next, next, tall));
      for (size_t i = 0; i < tall && norm > 0; i++) {
        double to = next[i] / norm;
        change += (to - column[i]) * (to - column[i]);
        column[i] = to;
      }
    }
  }
}

void mixing_normalise(double *mixing, int p, int d) {
  for (int j = 0; j < d; j++) {
    double *column = mixing + (size_t)j * (size_t)p,
           length = sqrt(column_dot(mixing, mixing, p, j));
    for (int k = 0; k < p; k++)
      column[k] /= length;
  }
}

void mixing_match_signs(const double *previous, double *orthonormal, double *mixing, int p, int d) {
  for (int j = 0; j < d; j++)
    if (column_dot(orthonormal, previous, p, j) < 0) {
      flip_column(orthonormal, p, j);
      flip_column(mixing, p, j);
    }
}
