/* A as it is, for g-modeling: the sampler and the Gaussian posterior take x A and A'A, whatever the
 * columns. Orthogonal ones keep their lengths, and general ones the length 1, as the scale of a
 * latent is arbitrary there. */
#include "measurement_kind.h"
#include "mixing.h"

#include <math.h>
#include <string.h>

/* Cosine of columns that differ from orthogonal ones by rounding alone. */
static const double SAME_DIRECTION = 1e-13;

/* Orthogonal columns need O beside A, and lengths. */
static void allocate(measurement *m, allocator alloc) {
  m->orthonormal = alloc((size_t)m->p * (size_t)m->d, sizeof(double));
  m->scale = alloc((size_t)m->d, sizeof(double));
}

/* A'A; what is 0 but for rounding is made 0, which the sampler skips. */
static int refresh(measurement *m) {
  int d = m->d;
  size_t p = (size_t)m->p;
  double *gram = m->gram;
  for (int j = 0; j < d; j++)
    for (int k = 0; k <= j; k++)
      gram[j + k * d] = gram[k + j * d] =
          linalg_dot(m->mixing + (size_t)j * p, m->mixing + (size_t)k * p, p);
  for (int j = 0; j < d; j++)
    for (int k = 0; k < d; k++)
      if (j != k &&
          fabs(gram[j + k * d]) < SAME_DIRECTION * sqrt(gram[j + j * d] * gram[k + k * d]))
        gram[j + k * d] = 0;
  m->projection = m->mixing;
  return STATUS_OK;
}

static int update_lengths(measurement *m, const double *cross, const double *second) {
  size_t p = (size_t)m->p, tall = p * (size_t)m->d;
  int deficient = 0;
  (void)second;
  int status =
      mixing_procrustes(cross, m->scale, &m->polar, m->scratch, m->orthonormal, &deficient);
  m->rank_deficient += deficient;
  for (size_t g = 0; g < tall; g++)
    m->mixing[g] = m->orthonormal[g] * m->scale[g / p];
  return status == STATUS_OK ? refresh(m) : status;
}

static int update_unit(measurement *m, const double *cross, const double *second) {
  mixing_unit_columns(cross, second, m->p, m->d, m->scratch, m->mixing);
  return refresh(m);
}

/* The lengths of the columns, to be undone in the latents, go to the scale. */
static int update_least_squares(measurement *m, const double *cross, const double *second) {
  size_t d = (size_t)m->d;
  int status = mixing_least_squares(cross, second, m->p, m->d, m->spectral.square, m->mixing);
  if (status != STATUS_OK)
    return status;
  refresh(m);
  for (size_t j = 0; j < d; j++)
    m->scale[j] = sqrt(m->gram[j + j * d]);
  mixing_normalise(m->mixing, m->p, m->d);
  return refresh(m);
}

static double unexplained(const measurement *m, const double *cross, const double *second) {
  return m->noise.sum_sq - 2 * linalg_dot(m->mixing, cross, (size_t)m->p * (size_t)m->d) +
         linalg_dot(m->gram, second, (size_t)m->d * (size_t)m->d);
}

const measurement_kind measurement_plain_lengths = {.name = "lengths",
                                                    .full = 1,
                                                    .turns = 1,
                                                    .allocate = allocate,
                                                    .refresh = refresh,
                                                    .unexplained = unexplained,
                                                    .update = update_lengths};

const measurement_kind measurement_plain_unit = {.name = "unit",
                                                 .full = 1,
                                                 .shears = 1,
                                                 .allocate = allocate,
                                                 .refresh = refresh,
                                                 .unexplained = unexplained,
                                                 .update = update_unit};

const measurement_kind measurement_plain_least_squares = {.name = "least_squares",
                                                          .full = 1,
                                                          .rescales = 1,
                                                          .allocate = allocate,
                                                          .refresh = refresh,
                                                          .unexplained = unexplained,
                                                          .update = update_least_squares};

const measurement_kind measurement_plain_held = {.name = "held",
                                                 .full = 1,
                                                 .held = 1,
                                                 .allocate = allocate,
                                                 .refresh = refresh,
                                                 .unexplained = unexplained};

/* A = W R, R a rotation and W whatever the start has; turns alone move it, which leave the
 * likelihood of x as it is. */
const measurement_kind measurement_plain_turned = {.name = "turned",
                                                   .full = 1,
                                                   .turns = 1,
                                                   .allocate = allocate,
                                                   .refresh = refresh,
                                                   .unexplained = unexplained};
