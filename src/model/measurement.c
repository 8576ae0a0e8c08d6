#include "measurement.h"

#include <math.h>
#include <string.h>

/* Least sigma2, in units of the mean square of x. */
static const double SIGMA2_LEAST = 1e-10;

/* The kinds, a line each. */
#define MEASUREMENT_KINDS(LINE)                                                                    \
  LINE(measurement_orthogonal_orthonormal)                                                         \
  LINE(measurement_orthogonal_diagonal)                                                            \
  LINE(measurement_orthogonal_fixed)                                                               \
  LINE(measurement_general_psd)                                                                    \
  LINE(measurement_general_fixed)                                                                  \
  LINE(measurement_plain_lengths)                                                                  \
  LINE(measurement_plain_unit)                                                                     \
  LINE(measurement_plain_least_squares)                                                            \
  LINE(measurement_plain_held)                                                                     \
  LINE(measurement_plain_turned)

#define DECLARE(name) extern const measurement_kind name;
#define ADDRESS(name) &name,
MEASUREMENT_KINDS(DECLARE)
static const measurement_kind *const kinds[] = {MEASUREMENT_KINDS(ADDRESS)};

const measurement_kind *measurement_kind_named(const char *name) {
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    if (strcmp(kinds[k]->name, name) == 0)
      return kinds[k];
  return NULL;
}

measurement measurement_new(const measurement_kind *kind, int p, int d, allocator alloc) {
  size_t tall = (size_t)p * (size_t)d;
  measurement m = {.kind = kind,
                   .p = p,
                   .d = d,
                   .polar = polar_work_new(p, d, alloc),
                   .scratch = alloc(tall, sizeof(double))};
  if (kind->full) {
    m.gram = alloc((size_t)d * (size_t)d, sizeof(double));
    m.spectral = spectral_work_new(d, alloc);
  }
  kind->allocate(&m, alloc);
  return m;
}

double measurement_doubles(double p, double d, int general) {
  return 4 * p * d + d * d + 5 * d + (general ? p * d + 2 * d * d + spectral_work_doubles(d) : 0);
}

measurement_task measurement_task_new(const measurement *m, allocator alloc) {
  size_t d = (size_t)m->d, wide = d * BLOCK_ROWS;
  measurement_task t = {.score = alloc(wide, sizeof(double)),
                        .slope = alloc(wide, sizeof(double)),
                        .covariance = alloc(m->kind->full ? d * wide : wide, sizeof(double)),
                        .floored = alloc(BLOCK_ROWS, sizeof(int))};
  if (m->kind->full) {
    t.jacobian = alloc(d * wide, sizeof(double));
    t.product = alloc(d * wide, sizeof(double));
    t.one = spectral_work_new(m->d, alloc);
  }
  return t;
}

double measurement_task_doubles(double d, int general) {
  return BLOCK_ROWS * (3 * d + 0.5) +
         (general ? 3 * d * d * BLOCK_ROWS + spectral_work_doubles(d) : 0);
}

noise_level measurement_noise_level(double sigma2, int learned, double sum_sq, double entries) {
  noise_level level = {.value = sigma2,
                       .sum_sq = sum_sq,
                       .entries = entries,
                       .mean_square = sum_sq / entries,
                       .least = SIGMA2_LEAST * (sum_sq / entries),
                       .learned = learned};
  return level;
}

size_t measurement_second_size(const measurement *m) {
  size_t d = (size_t)m->d;
  return m->kind->full ? d * d : d;
}

double measurement_explained(const measurement *m, const double *second) {
  double sum = 0;
  if (m->kind->full)
    return linalg_dot(m->gram, second, (size_t)m->d * (size_t)m->d);
  for (int j = 0; j < m->d; j++)
    sum += m->scale[j] * m->scale[j] * second[j];
  return sum;
}

void measurement_update_noise(measurement *m, const double *cross, const double *second) {
  noise_level *level = &m->noise;
  if (!level->learned)
    return;
  level->value = m->kind->unexplained(m, cross, second) / level->entries;
  if (level->value <= level->least) {
    level->value = level->least;
    level->floored++;
  }
}

int measurement_update(measurement *m, const double *cross, const double *second,
                       const double *before) {
  int status = m->kind->update ? m->kind->update(m, cross, second) : STATUS_OK;
  measurement_update_noise(m, cross, second);
  return status == STATUS_OK && m->kind->settle ? m->kind->settle(m, before) : status;
}

projection_noise measurement_noise(const measurement *m) {
  projection_noise noise = {m->noise.value, m->shape ? m->scale : NULL, m->shape};
  return noise;
}

const double *measurement_loadings(const measurement *m) {
  return m->kind->full ? m->mixing : m->orthonormal;
}

size_t measurement_point_size(int p, int d) {
  return (size_t)p * (size_t)d + (size_t)d + 1;
}

void measurement_pack(const measurement *m, double *point) {
  m->kind->pack(m, point);
  point[measurement_point_size(m->p, m->d) - 1] = log(m->noise.value / m->noise.mean_square);
}

int measurement_unpack(measurement *m, const double *point) {
  if (m->noise.learned)
    m->noise.value = m->noise.mean_square * exp(point[measurement_point_size(m->p, m->d) - 1]);
  return m->kind->held ? STATUS_OK : m->kind->unpack(m, point);
}
