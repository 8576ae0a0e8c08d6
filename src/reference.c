#include "reference.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

gaussian_reference *reference_new(const latent_sample *s, const int *group, int n_groups,
                                  double *mean, double *precision, int n_shards, allocator alloc) {
  size_t d = (size_t)s->d, sums = (size_t)n_shards * (size_t)n_groups * (1 + d + d * d);
  gaussian_reference *r = alloc(1, sizeof *r);
  gaussian_reference fresh = {.d = s->d,
                              .n_groups = n_groups,
                              .group = group,
                              .mean = mean,
                              .precision = precision,
                              .score = alloc(s->n * d, sizeof(double)),
                              .sums = alloc(sums, sizeof(double))};
  *r = fresh;
  return r;
}

double reference_doubles(double n, double d, double n_groups) {
  double shards = fmin(MAX_SHARDS, ceil(n / SHARD_ROWS));
  return n * d + shards * n_groups * (1 + d + d * d);
}

static int row_group(const gaussian_reference *r, const latent_sample *s, size_t row) {
  return r->group[s->env[row] - 1];
}

/* Weighted sums of 1, y and yy' (lower triangle) by group, over rows [from, to). */
static void add_moments(const gaussian_reference *r, const latent_sample *s, size_t from, size_t to,
                        double *sums) {
  size_t d = (size_t)r->d, size = 1 + d + d * d;
  memset(sums, 0, size * (size_t)r->n_groups * sizeof(double));
  for (size_t i = from; i < to; i++) {
    double *sum = sums + (size_t)row_group(r, s, i) * size, w = row_weight(s, i);
    sum[0] += w;
    for (size_t j = 0; j < d; j++) {
      double wy = w * s->y[i + j * s->n];
      sum[1 + j] += wy;
      for (size_t k = j; k < d; k++)
        sum[1 + d + k + j * d] += wy * s->y[i + k * s->n];
    }
  }
}

/* Mean and covariance (both triangles) of a group from the sums of all shards. */
static void group_moments(const gaussian_reference *r, int n_shards, int g, double *mean,
                          double *cov) {
  size_t d = (size_t)r->d, size = 1 + d + d * d;
  double weight = 0;
  memset(mean, 0, d * sizeof(double));
  memset(cov, 0, d * d * sizeof(double));
  for (int k = 0; k < n_shards; k++) {
    const double *sum = r->sums + ((size_t)k * (size_t)r->n_groups + (size_t)g) * size;
    weight += sum[0];
    for (size_t j = 0; j < d; j++)
      mean[j] += sum[1 + j];
    for (size_t e = 0; e < d * d; e++)
      cov[e] += sum[1 + d + e];
  }
  for (size_t j = 0; j < d; j++)
    mean[j] /= weight;
  for (size_t j = 0; j < d; j++)
    for (size_t k = j; k < d; k++)
      cov[j + k * d] = cov[k + j * d] = cov[k + j * d] / weight - mean[j] * mean[k];
}

/* out = a b, d x d. */
static void square_product(const double *a, const double *b, int d, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("N", "N", &d, &d, &d, &one, a, &d, b, &d, &zero, out, &d FCONE FCONE);
}

/* P = Lambda max(Lambda C Lambda, sigma2)^-1 Lambda, max of eigenvalues; in place of C. */
static int floored_precision(const psd_model *m, const double *lambda, double sigma2, double *cov,
                             int *floored) {
  int d = m->d, info;
  double *vectors = m->vectors, *product = m->square;
  square_product(lambda, cov, d, product);
  square_product(product, lambda, d, vectors);
  F77_CALL(dsyev)
  ("V", "L", &d, vectors, &d, m->values, m->work, &m->lwork, &info FCONE FCONE);
  if (info != 0)
    return STATUS_SVD;
  for (int k = 0; k < d; k++)
    if (!(m->values[k] >= sigma2)) {
      m->values[k] = sigma2;
      ++*floored;
    }
  square_product(lambda, vectors, d, product); /* P = (Lambda V) diag(1 / values) (Lambda V)' */
  for (int i = 0; i < d; i++)
    for (int j = 0; j <= i; j++) {
      double sum = 0;
      for (int k = 0; k < d; k++)
        sum += product[i + k * d] * product[j + k * d] / m->values[k];
      cov[i + j * d] = cov[j + i * d] = sum;
    }
  return STATUS_OK;
}

/* Component j of g = -P (y - m) at a row. */
static double reference_at(const gaussian_reference *r, const latent_sample *s, size_t row,
                           size_t j) {
  size_t d = (size_t)r->d, group = (size_t)row_group(r, s, row);
  const double *mean = r->mean + group * d, *precision = r->precision + group * d * d;
  double sum = 0;
  for (size_t k = 0; k < d; k++)
    sum -= precision[j + k * d] * (s->y[row + k * s->n] - mean[k]);
  return sum;
}

int reference_fit(gaussian_reference *r, const latent_sample *s, const row_shards *shards,
                  int threads, const psd_model *m, const double *lambda, double sigma2) {
  size_t d = (size_t)r->d, size = (1 + d + d * d) * (size_t)r->n_groups;
  int status = STATUS_OK;
  (void)threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
  for (int k = 0; k < shards->n_shards; k++)
    add_moments(r, s, shard_start(shards, k), shard_start(shards, k + 1),
                r->sums + (size_t)k * size);
  r->floored = 0;
  for (int g = 0; g < r->n_groups && status == STATUS_OK; g++) {
    double *cov = r->precision + (size_t)g * d * d;
    group_moments(r, shards->n_shards, g, r->mean + (size_t)g * d, cov);
    status = floored_precision(m, lambda, sigma2, cov, &r->floored);
  }
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
  for (int k = 0; k < shards->n_shards; k++)
    for (size_t j = 0; j < d; j++)
      for (size_t i = shard_start(shards, k); i < shard_start(shards, k + 1); i++)
        r->score[i + j * s->n] = reference_at(r, s, i, j);
  return status;
}

void reference_add(const gaussian_reference *r, const latent_sample *s, size_t start, int rows,
                   double *score, double *dscore, double *jacobian, double *loss) {
  size_t d = (size_t)r->d;
  for (size_t i = 0; i < (size_t)rows; i++) {
    size_t row = start + i;
    const double *precision = r->precision + (size_t)row_group(r, s, row) * d * d;
    for (size_t j = 0; j < d; j++) {
      size_t at = j * BLOCK_ROWS + i, cell = 2 * j + (size_t)row_state(s, row, (int)j);
      double spline = score[at];
      score[at] += reference_at(r, s, row, j);
      dscore[at] -= precision[j + j * d];
      for (size_t k = 0; k < d; k++)
        jacobian[(k * d + j) * BLOCK_ROWS + i] -= precision[j + k * d];
      loss[cell] += row_weight(s, row) *
                    (0.5 * (score[at] * score[at] - spline * spline) - precision[j + j * d]);
    }
  }
}
