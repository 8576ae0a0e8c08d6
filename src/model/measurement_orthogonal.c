/* Orthogonal columns, A = O D: y = O'x = D z plus noise of covariance sigma2 I (4.2), and each
 * latent by itself has Tweedie's formulas (4.4), (4.5). */
#include "measurement_kind.h"
#include "mixing.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void allocate(measurement *m, allocator alloc) {
  m->mixing = alloc((size_t)m->p * (size_t)m->d, sizeof(double));
}

static int refresh(measurement *m) {
  size_t p = (size_t)m->p, tall = p * (size_t)m->d;
  m->projection = m->orthonormal;
  for (size_t g = 0; g < tall; g++)
    m->mixing[g] = m->orthonormal[g] * m->scale[g / p];
  return STATUS_OK;
}

/* z = (y + eta sigma2 s) / D with variance (sigma2 + sigma2^2 ds) / D^2, which an estimated score
 * can make negative: it is then set to 0. */
static void moments(const measurement *m, measurement_task *t, const double *y, size_t n, int rows,
                    double eta, double *mean) {
  double sigma2 = m->noise.value;
  memset(t->floored, 0, BLOCK_ROWS * sizeof(int));
  for (int j = 0; j < m->d; j++) {
    const double *own = y + (size_t)j * n, *score = t->score + j * BLOCK_ROWS;
    const double *slope = t->slope + j * BLOCK_ROWS;
    double *z = mean + j * X_ROWS, *variance = t->covariance + j * BLOCK_ROWS, scale = m->scale[j];
    for (int i = 0; i < rows; i++) {
      double v = sigma2 + sigma2 * sigma2 * slope[i];
      t->floored[i] += v < 0;
      z[i] = (own[i] + eta * sigma2 * score[i]) / scale;
      variance[i] = v < 0 ? 0 : v / (scale * scale);
    }
  }
}

/* Procrustes (4.7), (4.8). */
static int update_orthonormal(measurement *m, const double *cross, const double *second) {
  int deficient = 0;
  (void)second;
  int status =
      mixing_procrustes(cross, m->scale, &m->polar, m->scratch, m->orthonormal, &deficient);
  m->rank_deficient += deficient;
  return status == STATUS_OK ? refresh(m) : status;
}

static int update_diagonal(measurement *m, const double *cross, const double *second) {
  int deficient = 0;
  int status =
      mixing_alternate(cross, second, &m->polar, m->scratch, m->orthonormal, m->scale, &deficient);
  m->rank_deficient += deficient;
  return status == STATUS_OK ? refresh(m) : status;
}

static int settle(measurement *m, const double *before) {
  mixing_match_signs(before, m->orthonormal, m->mixing, m->p, m->d);
  return STATUS_OK;
}

static double unexplained(const measurement *m, const double *cross, const double *second) {
  size_t p = (size_t)m->p;
  double sum = m->noise.sum_sq;
  for (size_t j = 0; j < (size_t)m->d; j++)
    sum += m->scale[j] * m->scale[j] * second[j] -
           2 * m->scale[j] * linalg_dot(m->orthonormal + j * p, cross + j * p, p);
  return sum;
}

static void pack(const measurement *m, double *point) {
  size_t d = (size_t)m->d, tall = (size_t)m->p * d;
  memcpy(point, m->orthonormal, tall * sizeof(double));
  for (size_t j = 0; j < d; j++)
    point[tall + j] = log(fmax(m->scale[j], DBL_MIN));
}

/* For D that does not move: an extrapolated O has to be made orthonormal, and signs are ties. */
static int unpack(measurement *m, const double *point) {
  int deficient;
  int status = polar_factor_of(point, &m->polar, m->orthonormal, &deficient);
  mixing_match_signs(point, m->orthonormal, m->mixing, m->p, m->d);
  return status == STATUS_OK ? refresh(m) : status;
}

static void turn(measurement *m, int j) {
  size_t p = (size_t)m->p, at = (size_t)j * p;
  for (size_t k = at; k < at + p; k++) {
    m->orthonormal[k] = -m->orthonormal[k];
    m->mixing[k] = -m->mixing[k];
  }
}

const measurement_kind measurement_orthogonal_orthonormal = {.name = "orthonormal",
                                                             .allocate = allocate,
                                                             .refresh = refresh,
                                                             .moments = moments,
                                                             .update = update_orthonormal,
                                                             .settle = settle,
                                                             .unexplained = unexplained,
                                                             .pack = pack,
                                                             .unpack = unpack,
                                                             .turn = turn};

const measurement_kind measurement_orthogonal_diagonal = {.name = "diagonal",
                                                          .allocate = allocate,
                                                          .refresh = refresh,
                                                          .moments = moments,
                                                          .update = update_diagonal,
                                                          .settle = settle,
                                                          .unexplained = unexplained,
                                                          .pack = pack,
                                                          .unpack = unpack,
                                                          .turn = turn};

const measurement_kind measurement_orthogonal_fixed = {.name = "fixed",
                                                       .held = 1,
                                                       .allocate = allocate,
                                                       .refresh = refresh,
                                                       .moments = moments,
                                                       .unexplained = unexplained,
                                                       .pack = pack,
                                                       .turn = turn};
