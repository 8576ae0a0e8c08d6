#include "measurement.h"

#include <math.h>
#include <string.h>

enum { MAX_ALTERNATIONS = 100 };
static const double SCALE_TOL = 1e-12;

/* Least D: second moments of the latents, about 1 / D^2, have to be representable. */
static const double SCALE_LEAST = 1e-100;

static double column_dot(const double *a, const double *b, int p, int j) {
  size_t at = (size_t)j * (size_t)p;
  return dot(a + at, b + at, (size_t)p);
}

static void flip_column(double *a, int p, int j) {
  for (int k = 0; k < p; k++)
    a[(size_t)j * (size_t)p + (size_t)k] *= -1;
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

int mixing_update_step(const double *cross, const double *second, mixing_kind kind, polar_work *w,
                       double *scratch, double *orthonormal, double *scale, int *rank_deficient) {
  int p = w->p, d = w->d, status = STATUS_OK;
  size_t tall = (size_t)p * (size_t)d;
  *rank_deficient = 0;
  if (kind == MIXING_FIXED)
    return STATUS_OK;
  if (kind == MIXING_ORTHONORMAL) {
    status = polar_factor_of(cross, w, orthonormal, rank_deficient);
  } else {
    double change = INFINITY;
    for (int k = 0; k < MAX_ALTERNATIONS && change > SCALE_TOL && status == STATUS_OK; k++) {
      for (size_t g = 0; g < tall; g++)
        scratch[g] = cross[g] * scale[g / (size_t)p];
      status = polar_factor_of(scratch, w, orthonormal, rank_deficient);
      change = update_scale(cross, second, p, d, orthonormal, scale);
    }
    for (int j = 0; j < d && status == STATUS_OK; j++)
      if (!(scale[j] > SCALE_LEAST))
        status = STATUS_SHRUNK;
  }
  return status;
}

void match_signs(const double *previous, double *orthonormal, int p, int d) {
  for (int j = 0; j < d; j++)
    if (column_dot(orthonormal, previous, p, j) < 0)
      flip_column(orthonormal, p, j);
}

double sigma2_update(double sum_sq, const double *cross, const double *second,
                     const double *orthonormal, const double *scale, size_t n, int p, int d,
                     double floor, int *floored) {
  double sum = sum_sq;
  for (int j = 0; j < d; j++)
    sum += scale[j] * scale[j] * second[j] - 2 * scale[j] * column_dot(orthonormal, cross, p, j);
  double sigma2 = sum / ((double)n * p);
  *floored = sigma2 <= floor;
  return *floored ? floor : sigma2;
}
