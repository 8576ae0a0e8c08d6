#include "factor_missing.h"

#include "packed.h"

#include <math.h>
#include <string.h>

static const double LEAST_SHARE = 1e-6;

enum { ROWS_GATHERED = 32 };

/* The sums of a shard: for each feature the moments of the factors and 1 over the rows that have it
 * (packed, q + 1), their products with x (q + 1), x^2 and the weight; then the moments of all rows
 * and the log-likelihood; then the rows that are gathered. */
static size_t feature_sums(int q) {
  return packed_size(q + 1) + (size_t)q + 3;
}

static size_t shard_size(const factor_missing *f) {
  size_t p = (size_t)f->rows->p;
  return p * feature_sums(f->q) + packed_size(f->q + 1) + 1 + p * ROWS_GATHERED;
}

factor_missing factor_missing_new(const weighted_rows *rows, int q, allocator alloc) {
  factor_missing f = {.rows = rows, .q = q, .tol = 1e-3, .max_iter = 1000};
  size_t p = (size_t)rows->p;
  f.loadings = alloc(p * (size_t)q, sizeof(double));
  f.psi = alloc(p, sizeof(double));
  f.mean = alloc(p, sizeof(double));
  f.model = (noise_model){.p = rows->p, .mean = f.mean, .psi = f.psi};
  f.square = alloc(p, sizeof(double));
  f.nu = alloc((size_t)q, sizeof(double));
  memset(f.nu, 0, (size_t)q * sizeof(double));
  f.factor = alloc(packed_size(q + 1), sizeof(double));
  f.sums = alloc((size_t)shard_rows(rows->n).n_shards * shard_size(&f), sizeof(double));
  return f;
}

/* Posterior moments of the factors and 1, packed; log-density of the row. */
static double factor_posterior(const factor_missing *f, const double *x, double *moments,
                               double *mean) {
  int q = f->q;
  double precision[PACKED_NUMBERS], covariance[PACKED_NUMBERS];
  memset(precision, 0, packed_size(q) * sizeof(double));
  memset(mean, 0, (size_t)q * sizeof(double));
  for (int c = 0; c < q; c++)
    precision[packed_at(q, c, c)] = 1;
  double log_density = row_noise_sums(&f->model, f->loadings, x, q, precision, mean),
         inner[PACKED_MOST];
  memcpy(inner, mean, (size_t)q * sizeof(double));
  log_density -= packed_cholesky(precision, q) / 2;
  packed_solve(precision, q, mean);
  packed_inverse(precision, q, covariance);
  mean[q] = 1;
  for (int c = 0; c <= q; c++) {
    log_density += c < q ? inner[c] * mean[c] / 2 : 0;
    for (int r = c; r <= q; r++)
      moments[packed_at(q + 1, r, c)] =
          mean[r] * mean[c] + (r < q ? covariance[packed_at(q, r, c)] : 0);
  }
  return log_density;
}

static void add_row(const factor_missing *f, const double *x, double weight, double *sum) {
  int q = f->q;
  double moments[PACKED_NUMBERS], mean[PACKED_MOST + 1];
  double log_density = factor_posterior(f, x, moments, mean);
  size_t many = packed_size(q + 1), p = (size_t)f->rows->p;
  for (size_t j = 0; j < p; j++, sum += feature_sums(q)) {
    if (isnan(x[j]))
      continue;
    for (size_t g = 0; g < many; g++)
      sum[g] += weight * moments[g];
    for (int c = 0; c <= q; c++)
      sum[many + (size_t)c] += weight * x[j] * mean[c];
    sum[many + (size_t)q + 1] += weight * x[j] * x[j];
    sum[many + (size_t)q + 2] += weight;
  }
  for (size_t g = 0; g < many; g++)
    sum[g] += weight * moments[g];
  sum[many] += weight * log_density;
}

static void add_shard(const factor_missing *f, size_t start, size_t end, double *sum) {
  const weighted_rows *r = f->rows;
  size_t size = shard_size(f) - (size_t)r->p * ROWS_GATHERED;
  double *x = sum + size;
  memset(sum, 0, size * sizeof(double));
  for (; start < end; start += ROWS_GATHERED) {
    int many = end - start < ROWS_GATHERED ? (int)(end - start) : ROWS_GATHERED;
    row_noise_observed(r, start, many, x);
    for (int i = 0; i < many; i++)
      add_row(f, x + (size_t)i * (size_t)r->p, r->omega[r->env[start + (size_t)i] - 1], sum);
  }
}

/* E-step: the sums of all rows in the first shard's place. */
static void estep(factor_missing *f) {
  row_shards shards = shard_rows(f->rows->n);
  size_t size = shard_size(f), kept = size - (size_t)f->rows->p * ROWS_GATHERED;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(f->rows->threads)
#endif
  for (int shard = 0; shard < shards.n_shards; shard++)
    add_shard(f, shard_start(&shards, shard), shard_start(&shards, shard + 1),
              f->sums + (size_t)shard * size);
  for (int shard = 1; shard < shards.n_shards; shard++)
    for (size_t g = 0; g < kept; g++)
      f->sums[g] += f->sums[(size_t)shard * size + g];
}

/* Moments (packed, q + 1) of the factors and 1 once the factors' mean nu is added to them. */
static void add_mean(const factor_missing *f, double *moments) {
  int q = f->q;
  double weight = moments[packed_at(q + 1, q, q)];
  for (int c = 0; c < q; c++)
    for (int r = c; r < q; r++)
      moments[packed_at(q + 1, r, c)] += f->nu[r] * moments[packed_at(q + 1, q, c)] +
                                         f->nu[c] * moments[packed_at(q + 1, q, r)] +
                                         f->nu[r] * f->nu[c] * weight;
  for (int c = 0; c < q; c++)
    moments[packed_at(q + 1, q, c)] += f->nu[c] * weight;
}

/* Regression of a feature on the factors, and on 1 where the mean is free: loadings, mean; what is
 * left of x^2, NaN where there is no solution. */
static double regress_feature(factor_missing *f, int j, const double *sum) {
  int q = f->q, size = q + (f->centered ? 1 : 0);
  size_t p = (size_t)f->rows->p, many = packed_size(q + 1);
  double moments[PACKED_NUMBERS], a[PACKED_NUMBERS], coef[PACKED_MOST + 1], cross[PACKED_MOST + 1];
  memcpy(moments, sum, many * sizeof(double));
  add_mean(f, moments);
  for (int c = 0; c < size; c++) {
    coef[c] = cross[c] = sum[many + (size_t)c] + (c < q ? f->nu[c] * sum[many + (size_t)q] : 0);
    for (int r = c; r < size; r++)
      a[packed_at(size, r, c)] = moments[packed_at(q + 1, r, c)];
  }
  if (isnan(packed_cholesky(a, size)))
    return NAN;
  packed_solve(a, size, coef);
  double left = sum[many + (size_t)q + 1];
  for (int c = 0; c < size; c++)
    left -= coef[c] * cross[c];
  for (int c = 0; c < q; c++)
    f->loadings[(size_t)j + (size_t)c * p] = coef[c];
  f->mean[j] = f->centered ? coef[q] : 0;
  return left;
}

/* Factors of covariance 1, and of mean 0 where that of x is free: loadings times the root of their
 * covariance. */
static int standardize(factor_missing *f) {
  int q = f->q;
  size_t p = (size_t)f->rows->p;
  double *moments = f->factor, mean[PACKED_MOST], root[PACKED_NUMBERS];
  add_mean(f, moments);
  double total = moments[packed_at(q + 1, q, q)];
  for (int c = 0; c < q; c++)
    mean[c] = moments[packed_at(q + 1, q, c)] / total;
  for (int c = 0; c < q; c++)
    for (int r = c; r < q; r++)
      root[packed_at(q, r, c)] = moments[packed_at(q + 1, r, c)] / total - mean[r] * mean[c];
  if (isnan(packed_cholesky(root, q)))
    return STATUS_SINGULAR;
  for (size_t j = 0; j < p; j++) {
    for (int c = 0; c < q; c++)
      f->mean[j] += f->loadings[j + (size_t)c * p] * mean[c];
    for (int c = 0; c < q; c++) {
      double sum = 0;
      for (int r = c; r < q; r++)
        sum += f->loadings[j + (size_t)r * p] * root[packed_at(q, r, c)];
      f->loadings[j + (size_t)c * p] = sum;
    }
  }
  for (int c = 0; c < q && !f->centered; c++) { /* nu = root^-1 mean */
    f->nu[c] = mean[c];
    for (int k = 0; k < c; k++)
      f->nu[c] -= root[packed_at(q, c, k)] * f->nu[k];
    f->nu[c] /= root[packed_at(q, c, c)];
  }
  return STATUS_OK;
}

static int mstep(factor_missing *f) {
  size_t each = feature_sums(f->q), weight = each - 1;
  double left_all = 0, weight_all = 0;
  f->floored = 0;
  for (int j = 0; j < f->rows->p; j++) {
    const double *sum = f->sums + (size_t)j * each;
    double left = regress_feature(f, j, sum), least = LEAST_SHARE * f->square[j];
    if (isnan(left))
      return STATUS_SINGULAR;
    f->psi[j] = left / sum[weight];
    f->floored += !f->equal && f->psi[j] <= least;
    f->psi[j] = fmax(f->psi[j], least);
    left_all += left;
    weight_all += sum[weight];
  }
  for (int j = 0; j < f->rows->p && f->equal; j++)
    f->psi[j] = fmax(left_all / weight_all, LEAST_SHARE * f->square[j]);
  return standardize(f);
}

/* Mean squares of the observed entries, which bound psi from below. */
static void observed_squares(factor_missing *f) {
  const weighted_rows *r = f->rows;
  for (int j = 0; j < r->p; j++) {
    const double *x = r->x + (size_t)j * r->n;
    double sum = 0, square = 0, weight = 0;
    for (size_t i = 0; i < r->n; i++) {
      if (isnan(x[i]))
        continue;
      double w = r->omega[r->env[i] - 1];
      sum += w * x[i];
      square += w * x[i] * x[i];
      weight += w;
    }
    double mean = f->centered ? sum / weight : 0;
    f->square[j] = square / weight - mean * mean;
  }
}

int factor_missing_fit(factor_missing *f) {
  size_t features = (size_t)f->rows->p * feature_sums(f->q), many = packed_size(f->q + 1);
  int status = STATUS_OK;
  f->converged = f->iterations = 0;
  f->loglik = -INFINITY;
  observed_squares(f);
  while (!f->converged && f->iterations < f->max_iter && status == STATUS_OK) {
    estep(f);
    memcpy(f->factor, f->sums + features, many * sizeof(double));
    double loglik = f->sums[features + many];
    if (!isfinite(loglik))
      return STATUS_NOT_FINITE;
    f->converged = loglik - f->loglik < f->tol;
    f->loglik = loglik;
    f->iterations++;
    if (!f->converged)
      status = mstep(f);
    f->poll();
  }
  return status;
}
