#include "second_moments.h"

#include "linalg.h"

#include <R_ext/BLAS.h>
#include <string.h>

size_t second_moments_scratch(const weighted_rows *r, int k) {
  row_shards shards = shard_rows(r->n);
  size_t wide = (size_t)k * (X_ROWS + (size_t)r->p) + X_ROWS;
  return (size_t)shards.n_shards * wide + (size_t)k;
}

/* What a shard works with: its sum (p x k), then a block of k columns X_ROWS apart. */
static double *shard_scratch(const weighted_rows *r, int k, double *scratch, int shard) {
  return scratch + (size_t)k + (size_t)shard * ((size_t)k * (X_ROWS + (size_t)r->p) + X_ROWS);
}

static int rows_from(size_t start, size_t end) {
  return end - start < X_ROWS ? (int)(end - start) : X_ROWS;
}

static void sum_shards(const weighted_rows *r, int k, size_t size, double *scratch, double *out) {
  row_shards shards = shard_rows(r->n);
  memset(out, 0, size * sizeof(double));
  for (int shard = 0; shard < shards.n_shards; shard++) {
    const double *sum = shard_scratch(r, k, scratch, shard);
    for (size_t g = 0; g < size; g++)
      out[g] += sum[g];
  }
  for (size_t g = 0; g < size; g++)
    out[g] /= (double)r->n;
}

/* Weighted sums of the columns, or of their squares, over a shard. */
static void feature_shard(const weighted_rows *r, size_t start, size_t end, int squared,
                          double *sum) {
  for (int j = 0; j < r->p; j++) {
    const double *x = r->x + (size_t)j * r->n;
    double total = 0;
    for (size_t i = start; i < end; i++)
      total += r->omega[r->env[i] - 1] * (squared ? x[i] * x[i] : x[i]);
    sum[j] = total;
  }
}

static void feature_means(const weighted_rows *r, int squared, double *out, double *scratch) {
  row_shards shards = shard_rows(r->n);
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(r->threads)
#endif
  for (int shard = 0; shard < shards.n_shards; shard++)
    feature_shard(r, shard_start(&shards, shard), shard_start(&shards, shard + 1), squared,
                  shard_scratch(r, 1, scratch, shard));
  sum_shards(r, 1, (size_t)r->p, scratch, out);
}

void second_moments_features(const weighted_rows *r, double *mean, double *square,
                             double *scratch) {
  if (mean)
    feature_means(r, 0, mean, scratch);
  if (square)
    feature_means(r, 1, square, scratch);
}

/* A shard's part of X' Omega (X v - 1 m'v). */
static void times_shard(const weighted_rows *r, size_t start, size_t end, const double *v, int k,
                        const double *shift, double *sum) {
  double *block = sum + (size_t)k * (size_t)r->p;
  memset(sum, 0, (size_t)k * (size_t)r->p * sizeof(double));
  for (; start < end; start += X_ROWS) {
    int rows = rows_from(start, end);
    linalg_rows_times(r->x, r->n, r->p, start, rows, v, k, block, X_ROWS);
    for (int c = 0; c < k; c++)
      for (int i = 0; i < rows; i++) {
        double *value = block + (size_t)c * X_ROWS + i;
        *value = (*value - shift[c]) * r->omega[r->env[start + (size_t)i] - 1];
      }
    linalg_rows_cross(r->x, r->n, r->p, start, rows, block, k, sum);
  }
}

/* With m the weighted mean, weighted deviations sum to 0: m need not be taken off on both sides. */
void second_moments_times(const weighted_rows *r, const double *v, int k, double *out,
                          double *scratch) {
  if (r->apply) {
    r->apply(v, k, out, r->context);
    return;
  }
  if (r->second) {
    const double one = 1, zero = 0;
    F77_CALL(dgemm)
    ("N", "N", &r->p, &k, &r->p, &one, r->second, &r->p, v, &r->p, &zero, out, &r->p FCONE FCONE);
    return;
  }
  row_shards shards = shard_rows(r->n);
  double *shift = scratch;
  for (int c = 0; c < k; c++)
    shift[c] = r->mean ? linalg_dot(r->mean, v + (size_t)c * (size_t)r->p, (size_t)r->p) : 0;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(r->threads)
#endif
  for (int shard = 0; shard < shards.n_shards; shard++)
    times_shard(r, shard_start(&shards, shard), shard_start(&shards, shard + 1), v, k, shift,
                shard_scratch(r, k, scratch, shard));
  sum_shards(r, k, (size_t)k * (size_t)r->p, scratch, out);
}

/* A shard's part of X[, from:]' Omega X[, from : from + k], from row `from` of S on. */
static void matrix_shard(const weighted_rows *r, size_t start, size_t end, int from, int k,
                         double *sum) {
  int left = r->p - from;
  double *block = sum + (size_t)MOMENT_COLUMNS * (size_t)r->p;
  const double *x = r->x + (size_t)from * r->n;
  memset(sum, 0, (size_t)k * (size_t)left * sizeof(double));
  for (; start < end; start += X_ROWS) {
    int rows = rows_from(start, end);
    for (int c = 0; c < k; c++)
      for (int i = 0; i < rows; i++)
        block[(size_t)c * X_ROWS + i] =
            (x[(size_t)c * r->n + start + (size_t)i] - (r->mean ? r->mean[from + c] : 0)) *
            r->omega[r->env[start + (size_t)i] - 1];
    linalg_rows_cross(x, r->n, left, start, rows, block, k, sum);
  }
}

void second_moments_matrix(const weighted_rows *r, double *out, double *scratch) {
  row_shards shards = shard_rows(r->n);
  size_t p = (size_t)r->p;
  for (int from = 0; from < r->p; from += MOMENT_COLUMNS) {
    int k = r->p - from < MOMENT_COLUMNS ? r->p - from : MOMENT_COLUMNS, left = r->p - from;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(r->threads)
#endif
    for (int shard = 0; shard < shards.n_shards; shard++)
      matrix_shard(r, shard_start(&shards, shard), shard_start(&shards, shard + 1), from, k,
                   shard_scratch(r, MOMENT_COLUMNS, scratch, shard));
    for (int c = 0; c < k; c++)
      for (int j = c; j < left; j++) {
        double total = 0;
        for (int shard = 0; shard < shards.n_shards; shard++)
          total += shard_scratch(r, MOMENT_COLUMNS, scratch, shard)[(size_t)c * (size_t)left + j];
        size_t row = (size_t)(from + j), column = (size_t)(from + c);
        out[row + column * p] = out[column + row * p] = total / (double)r->n;
      }
  }
}

void second_moments_by_domain(const double *y, size_t n, int q, const int *env, int n_domains,
                              double *count, double *mean, double *second) {
  size_t d = (size_t)q;
  memset(count, 0, (size_t)n_domains * sizeof(double));
  memset(mean, 0, (size_t)n_domains * d * sizeof(double));
  memset(second, 0, (size_t)n_domains * d * d * sizeof(double));
  for (size_t i = 0; i < n; i++) {
    size_t e = (size_t)env[i] - 1;
    count[e] += 1;
    for (size_t j = 0; j < d; j++) {
      double v = y[i + j * n];
      mean[j + e * d] += v;
      for (size_t k = j; k < d; k++)
        second[k + j * d + e * d * d] += v * y[i + k * n];
    }
  }
  for (size_t e = 0; e < (size_t)n_domains; e++)
    for (size_t j = 0; j < d; j++) {
      mean[j + e * d] /= count[e];
      for (size_t k = j; k < d; k++) {
        second[k + j * d + e * d * d] /= count[e];
        second[j + k * d + e * d * d] = second[k + j * d + e * d * d];
      }
    }
}
