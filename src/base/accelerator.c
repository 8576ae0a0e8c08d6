#include "accelerator.h"

#include "linalg.h"

#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

static const double GROWTH = 1.5;     /* of the residual, above which a point is dropped */
static const double NEAR = 0.3;       /* relative distance to the limit that counts as near */
static const double LONGEST = 0.1;    /* relative length of an extrapolation */
static const double SAME_SPAN = 1e-3; /* parts of unit differences below it are left out */
static const double ROUNDING = 1e-12; /* relative residual that is not worth a step */

accelerator accelerator_new(size_t size, double unit, allocator alloc) {
  accelerator a = {.size = size, .unit = unit};
  a.norm = alloc(SETTLING + 1, sizeof(double));
  a.image = alloc(size, sizeof(double));
  a.residual = alloc(size, sizeof(double));
  a.fresh = alloc(size, sizeof(double));
  a.d_image = alloc(ANDERSON_MEMORY * size, sizeof(double));
  a.d_residual = alloc(ANDERSON_MEMORY * size, sizeof(double));
  a.least_squares = alloc((ANDERSON_MEMORY + 1) * (size + ANDERSON_MEMORY), sizeof(double));
  return a;
}

double accelerator_doubles(double size) {
  return SETTLING + 1 + (3 + 2 * ANDERSON_MEMORY) * size +
         (ANDERSON_MEMORY + 1) * (size + ANDERSON_MEMORY);
}

void accelerator_restart(accelerator *a) {
  a->stored = a->next = a->n_norm = a->engaged = 0;
  a->last = STEP_PLAIN;
}

/* Takes the point in: differences to the previous one, which are scaled to residual differences of
 * length 1, and the norm of its residual. */
static void remember(accelerator *a, const double *image, double norm) {
  if (a->n_norm > 0) {
    double *d_image = a->d_image + (size_t)a->next * a->size;
    double *d_residual = a->d_residual + (size_t)a->next * a->size;
    for (size_t i = 0; i < a->size; i++) {
      d_image[i] = image[i] - a->image[i];
      d_residual[i] = a->fresh[i] - a->residual[i];
    }
    double length = sqrt(linalg_dot(d_residual, d_residual, a->size));
    for (size_t i = 0; length > 0 && i < a->size; i++) {
      d_image[i] /= length;
      d_residual[i] /= length;
    }
    a->stored = a->stored < ANDERSON_MEMORY ? a->stored + 1 : ANDERSON_MEMORY;
    a->next = (a->next + 1) % ANDERSON_MEMORY;
  }
  memcpy(a->image, image, a->size * sizeof(double));
  memcpy(a->residual, a->fresh, a->size * sizeof(double));
  if (a->n_norm == SETTLING + 1)
    memmove(a->norm, a->norm + 1, SETTLING * sizeof(double));
  else
    a->n_norm++;
  a->norm[a->n_norm - 1] = norm;
}

/* Plain residuals have fallen SETTLING times in a row, and at their mean rate r the distance left,
 * |residual| r / (1 - r), is small. */
static int limit_is_near(const accelerator *a) {
  if (a->n_norm <= SETTLING)
    return 0;
  for (int k = 0; k < SETTLING; k++)
    if (!(a->norm[k + 1] < a->norm[k]))
      return 0;
  double rate = pow(a->norm[SETTLING] / a->norm[0], 1.0 / SETTLING);
  return a->norm[SETTLING] * rate / (1 - rate) < NEAR * a->unit;
}

/* g: the least-squares coefficients of the residual on the residual differences, with a ridge; by
 * QR, since differences of a slow iteration are almost parallel. */
static int secant_coefficients(const accelerator *a, double *g) {
  int m = a->stored, one = 1, rows = (int)a->size + m, lwork = 2 * ANDERSON_MEMORY, info;
  double work[2 * ANDERSON_MEMORY];
  memset(a->least_squares, 0, (size_t)rows * (size_t)(m + 1) * sizeof(double));
  for (int k = 0; k < m; k++) {
    double *column = a->least_squares + (size_t)k * (size_t)rows;
    memcpy(column, a->d_residual + (size_t)k * a->size, a->size * sizeof(double));
    column[a->size + (size_t)k] = SAME_SPAN;
  }
  double *rhs = a->least_squares + (size_t)m * (size_t)rows;
  memcpy(rhs, a->residual, a->size * sizeof(double));
  F77_CALL(dgels)
  ("N", &rows, &m, &one, a->least_squares, &rows, rhs, &rows, work, &lwork, &info FCONE);
  memcpy(g, rhs, (size_t)m * sizeof(double));
  return info == 0;
}

/* next = image - d_image g, capped; 0 if that does not go along with the plain iteration. */
static int extrapolate(accelerator *a, double *next) {
  double g[ANDERSON_MEMORY], *beyond = a->fresh;
  if (!secant_coefficients(a, g))
    return 0;
  memset(beyond, 0, a->size * sizeof(double));
  for (int k = 0; k < a->stored; k++)
    for (size_t i = 0; i < a->size; i++)
      beyond[i] -= a->d_image[(size_t)k * a->size + i] * g[k];
  if (!(linalg_dot(beyond, a->residual, a->size) >= 0))
    return 0;
  double length = sqrt(linalg_dot(beyond, beyond, a->size)), longest = LONGEST * a->unit;
  double shorten = length > longest ? longest / length : 1;
  for (size_t i = 0; i < a->size; i++)
    next[i] += shorten * beyond[i];
  return 1;
}

step_kind accelerator_step(accelerator *a, const double *x, const double *image, double *next) {
  for (size_t i = 0; i < a->size; i++)
    a->fresh[i] = image[i] - x[i];
  double norm = sqrt(linalg_dot(a->fresh, a->fresh, a->size));
  if (a->last == STEP_EXTRAPOLATED &&
      !(norm <= fmax(GROWTH * a->norm[a->n_norm - 1], ROUNDING * a->unit))) {
    memcpy(next, a->image, a->size * sizeof(double));
    accelerator_restart(a);
    return a->last = STEP_REJECTED;
  }
  remember(a, image, norm);
  memcpy(next, image, a->size * sizeof(double));
  a->engaged = a->engaged || limit_is_near(a);
  a->last = STEP_PLAIN;
  if (a->engaged && norm > ROUNDING * a->unit) {
    if (extrapolate(a, next))
      a->last = STEP_EXTRAPOLATED;
    else
      accelerator_restart(a);
  }
  return a->last;
}
