#include "psd.h"

#include "vectorize.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

/* Eigenvalues of Lambda stay above this share of the largest, so that it can be inverted. */
static const double LAMBDA_FLOOR = 1e-6;

/* Eigenvalues of a covariance this far below 0, relative to the largest, are rounding. */
static const double ROUNDING = 1e-12;

/* LAPACK's dsyev: (NB + 2) d, with room for its block size. */
static int eigen_work(int d) {
  return 66 * d;
}

psd_model *psd_model_new(int p, int d, allocator alloc) {
  size_t tall = (size_t)p * (size_t)d, square = (size_t)d * (size_t)d;
  psd_model *m = alloc(1, sizeof *m);
  psd_model fresh = {.p = p,
                     .d = d,
                     .lwork = eigen_work(d),
                     .mixing = alloc(tall, sizeof(double)),
                     .projection = alloc(tall, sizeof(double)),
                     .noise = alloc(square, sizeof(double)),
                     .vectors = alloc(square, sizeof(double)),
                     .values = alloc((size_t)d, sizeof(double)),
                     .work = alloc((size_t)eigen_work(d), sizeof(double)),
                     .square = alloc(square, sizeof(double))};
  *m = fresh;
  return m;
}

double psd_model_doubles(double p, double d) {
  return 2 * p * d + 3 * d * d + 67 * d;
}

psd_scratch psd_scratch_new(const psd_model *m, allocator alloc) {
  size_t square = (size_t)m->d * (size_t)m->d;
  psd_scratch t = {alloc(square * BLOCK_ROWS, sizeof(double)),
                   alloc(square * BLOCK_ROWS, sizeof(double)),
                   alloc(square * BLOCK_ROWS, sizeof(double)),
                   alloc(square, sizeof(double)),
                   alloc((size_t)m->d, sizeof(double)),
                   alloc((size_t)m->lwork, sizeof(double)),
                   alloc(BLOCK_ROWS, sizeof(int))};
  return t;
}

double psd_scratch_doubles(double d) {
  return d * d * (3 * BLOCK_ROWS + 1) + 67 * d + BLOCK_ROWS / 2;
}

/* Eigenvectors of a symmetric matrix in place, eigenvalues ascending. */
static int eigen_of(double *a, int d, double *values, double *work, int lwork) {
  int info;
  F77_CALL(dsyev)("V", "L", &d, a, &d, values, work, &lwork, &info FCONE FCONE);
  return info == 0 ? STATUS_OK : STATUS_SVD;
}

/* out = V diag(values^power) V'. */
static void spectral_power(const double *vectors, const double *values, int d, double power,
                           double *out) {
  for (int i = 0; i < d; i++)
    for (int j = 0; j <= i; j++) {
      double sum = 0;
      for (int k = 0; k < d; k++)
        sum += vectors[i + k * d] * vectors[j + k * d] * pow(values[k], power);
      out[i + j * d] = out[j + i * d] = sum;
    }
}

static void tall_times_square(const double *a, const double *b, int p, int d, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("N", "N", &p, &d, &d, &one, a, &p, b, &d, &zero, out, &p FCONE FCONE);
}

int psd_refresh(psd_model *m, const double *orthonormal, double *lambda, int *floored) {
  int d = m->d;
  memcpy(m->vectors, lambda, (size_t)d * (size_t)d * sizeof(double));
  int status = eigen_of(m->vectors, d, m->values, m->work, m->lwork);
  if (status != STATUS_OK)
    return status;
  double least = LAMBDA_FLOOR * m->values[d - 1];
  *floored = 0;
  for (int k = 0; k < d; k++)
    if (!(m->values[k] >= least)) {
      m->values[k] = least;
      ++*floored;
    }
  if (*floored)
    spectral_power(m->vectors, m->values, d, 1, lambda);
  tall_times_square(orthonormal, lambda, m->p, d, m->mixing);
  spectral_power(m->vectors, m->values, d, -1, m->noise);
  tall_times_square(orthonormal, m->noise, m->p, d, m->projection);
  spectral_power(m->vectors, m->values, d, -2, m->noise);
  return STATUS_OK;
}

int psd_least_squares(psd_model *m, const double *cross, const double *second) {
  int p = m->p, d = m->d, info;
  const double one = 1;
  memcpy(m->vectors, second, (size_t)d * (size_t)d * sizeof(double));
  F77_CALL(dpotrf)("L", &d, m->vectors, &d, &info FCONE);
  if (info != 0)
    return STATUS_DEPENDENT;
  memcpy(m->mixing, cross, (size_t)p * (size_t)d * sizeof(double));
  F77_CALL(dtrsm)
  ("R", "L", "T", "N", &p, &d, &one, m->vectors, &d, m->mixing, &p FCONE FCONE FCONE FCONE);
  F77_CALL(dtrsm)
  ("R", "L", "N", "N", &p, &d, &one, m->vectors, &d, m->mixing, &p FCONE FCONE FCONE FCONE);
  return STATUS_OK;
}

double psd_sigma2(const psd_model *m, double sum_sq, const double *cross, const double *second,
                  size_t n, double floor, int *floored) {
  size_t p = (size_t)m->p, d = (size_t)m->d;
  double sum = sum_sq;
  for (size_t j = 0; j < d; j++) {
    sum -= 2 * dot(m->mixing + j * p, cross + j * p, p);
    for (size_t k = 0; k < d; k++)
      sum += second[j + k * d] * dot(m->mixing + j * p, m->mixing + k * p, p);
  }
  double sigma2 = sum / ((double)n * m->p);
  *floored = sigma2 <= floor;
  return *floored ? floor : sigma2;
}

int psd_split(psd_model *m, polar_work *w, double *orthonormal, double *lambda, int *floored) {
  size_t p = (size_t)m->p, d = (size_t)m->d;
  int deficient;
  for (size_t j = 0; j < d; j++) {
    double *column = m->mixing + j * p, length = sqrt(dot(column, column, p));
    for (size_t k = 0; k < p; k++)
      column[k] /= length;
  }
  int status = polar_factor_of(m->mixing, w, orthonormal, &deficient);
  if (status != STATUS_OK)
    return status;
  for (size_t i = 0; i < d; i++) /* Lambda = O'A */
    for (size_t j = 0; j <= i; j++) {
      double one_way = dot(orthonormal + i * p, m->mixing + j * p, p);
      double other = dot(orthonormal + j * p, m->mixing + i * p, p);
      lambda[i + j * d] = lambda[j + i * d] = (one_way + other) / 2;
    }
  return psd_refresh(m, orthonormal, lambda, floored);
}

static void flip(double *v, size_t count, size_t step) {
  for (size_t k = 0; k < count; k++)
    v[k * step] = -v[k * step];
}

void psd_turn(psd_model *m, int j, double *orthonormal, double *lambda) {
  size_t p = (size_t)m->p, d = (size_t)m->d, at = (size_t)j;
  flip(orthonormal + at * p, p, 1);
  flip(m->mixing + at * p, p, 1);
  flip(m->projection + at * p, p, 1);
  double *square[] = {lambda, m->noise};
  for (int k = 0; k < 2; k++) { /* the diagonal entry twice */
    flip(square[k] + at * d, d, 1);
    flip(square[k] + at, d, d);
  }
}

/* out += w a b over the rows of a block. */
WIDE_VECTORS static void add_products(double *restrict out, double w, const double *restrict a,
                                      int rows) {
  SIMD for (int i = 0; i < rows; i++) out[i] += w * a[i];
}

/* One block of rows of a d x d array. */
static double *entry(double *a, size_t d, size_t k, size_t l) {
  return a + (l * d + k) * BLOCK_ROWS;
}

/* cov = sigma2 N + sigma2^2 N J N, symmetrised. */
static void covariances(const psd_model *m, psd_scratch *t, int rows, double sigma2) {
  size_t d = (size_t)m->d;
  memset(t->product, 0, d * d * BLOCK_ROWS * sizeof(double));
  for (size_t l = 0; l < d; l++)
    for (size_t k = 0; k < d; k++)
      for (size_t q = 0; q < d; q++)
        add_products(entry(t->product, d, k, l), m->noise[q + l * d], entry(t->jacobian, d, k, q),
                     rows);
  for (size_t l = 0; l < d; l++)
    for (size_t k = 0; k <= l; k++) {
      double *upper = entry(t->cov, d, k, l), *lower = entry(t->cov, d, l, k);
      for (int i = 0; i < rows; i++)
        upper[i] = sigma2 * m->noise[k + l * d];
      for (size_t q = 0; q < d; q++) {
        double half = sigma2 * sigma2 / 2;
        add_products(upper, half * m->noise[k + q * d], entry(t->product, d, q, l), rows);
        add_products(upper, half * m->noise[l + q * d], entry(t->product, d, q, k), rows);
      }
      if (k < l)
        memcpy(lower, upper, (size_t)rows * sizeof(double));
    }
}

/* Is the covariance of a row positive definite? Cholesky in a (d x d). */
static int positive_definite(const double *cov, size_t d, int row, double *a) {
  for (size_t i = 0; i < d; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = cov[(j * d + i) * BLOCK_ROWS + (size_t)row];
      for (size_t l = 0; l < j; l++)
        sum -= a[i + l * d] * a[j + l * d];
      if (i == j && !(sum > 0))
        return 0;
      a[i + j * d] = i == j ? sqrt(sum) : sum / a[j + j * d];
    }
  return 1;
}

/* Negative eigenvalues of a row's covariance become 0; returns how many. */
static int floor_row(const psd_model *m, psd_scratch *t, int row) {
  size_t d = (size_t)m->d;
  int floored = 0;
  for (size_t e = 0; e < d * d; e++)
    t->vectors[e] = t->cov[e * BLOCK_ROWS + (size_t)row];
  if (eigen_of(t->vectors, m->d, t->values, t->work, m->lwork) != STATUS_OK)
    return m->d; /* not finite: the latents are not either, and the fit says so */
  double least = -ROUNDING * fmax(fabs(t->values[0]), fabs(t->values[d - 1]));
  for (size_t k = 0; k < d; k++) {
    floored += t->values[k] < least;
    t->values[k] = t->values[k] > 0 ? t->values[k] : 0;
  }
  for (size_t i = 0; i < d; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = 0;
      for (size_t k = 0; k < d; k++)
        sum += t->values[k] * t->vectors[i + k * d] * t->vectors[j + k * d];
      t->cov[(j * d + i) * BLOCK_ROWS + (size_t)row] = sum;
      t->cov[(i * d + j) * BLOCK_ROWS + (size_t)row] = sum;
    }
  return floored;
}

void psd_moments(const psd_model *m, psd_scratch *t, const double *y, size_t n, const double *score,
                 int rows, double sigma2, double eta, double *mean) {
  size_t d = (size_t)m->d;
  for (size_t j = 0; j < d; j++) {
    memcpy(mean + j * X_ROWS, y + j * n, (size_t)rows * sizeof(double));
    for (size_t k = 0; k < d; k++)
      add_products(mean + j * X_ROWS, eta * sigma2 * m->noise[j + k * d], score + k * BLOCK_ROWS,
                   rows);
  }
  covariances(m, t, rows, sigma2);
  for (int i = 0; i < rows; i++)
    t->floored[i] = positive_definite(t->cov, d, i, t->vectors) ? 0 : floor_row(m, t, i);
}
