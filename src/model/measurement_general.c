/* Columns of any angles: A = O Lambda, Lambda symmetric positive definite (Section 4.6).
 *
 *   y          n x d    pseudo-latents Lambda^-1 O'x = (A'A)^-1 A'x: the latents plus noise of
 *                       covariance sigma2 Lambda^-2, in the coordinates that the graph speaks of
 *   z          y + eta sigma2 Lambda^-2 s(y)
 *   Cov(z)     sigma2 Lambda^-2 + sigma2^2 Lambda^-2 J Lambda^-2, J the Jacobian of s
 *
 * Every A of full rank has such O and Lambda, so the M-step needs no alternation between them: the
 * minimiser of (4.7) is least squares, A = (sum x E z') (sum E zz')^-1, and O and Lambda are its
 * polar factors. A rescaling of a latent undone in its column leaves the model as it was; columns
 * of A are kept at length 1.
 */
#include "measurement_kind.h"
#include "mixing.h"
#include "vectorize.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

/* Eigenvalues of Lambda stay above this share of the largest, so that it can be inverted. */
static const double LAMBDA_FLOOR = 1e-6;

/* Eigenvalues of a covariance this far below 0, relative to the largest, are rounding. */
static const double ROUNDING = 1e-12;

/* ---- A and its projection ------------------------------------------------------------------ */

static void allocate(measurement *m, allocator alloc) {
  size_t d = (size_t)m->d, tall = (size_t)m->p * d;
  m->mixing = alloc(tall, sizeof(double));
  m->projection = alloc(tall, sizeof(double));
  m->shape = alloc(d * d, sizeof(double));
}

/* out = V diag(values^power) V'. */
static void spectral_power(const spectral_work *w, int d, double power, double *out) {
  for (int i = 0; i < d; i++)
    for (int j = 0; j <= i; j++) {
      double sum = 0;
      for (int k = 0; k < d; k++)
        sum += w->vectors[i + k * d] * w->vectors[j + k * d] * pow(w->values[k], power);
      out[i + j * d] = out[j + i * d] = sum;
    }
}

static void tall_times_square(const double *a, const double *b, int p, int d, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("N", "N", &p, &d, &d, &one, a, &p, b, &d, &zero, out, &p FCONE FCONE);
}

static void update_gram(measurement *m) {
  size_t p = (size_t)m->p, d = (size_t)m->d;
  for (size_t j = 0; j < d; j++)
    for (size_t k = 0; k <= j; k++)
      m->gram[j + k * d] = m->gram[k + j * d] = linalg_dot(m->mixing + j * p, m->mixing + k * p, p);
}

/* From O and Lambda, whose eigenvalues are kept above a small share of the largest. */
static int refresh(measurement *m) {
  int d = m->d, floored = 0;
  spectral_work *w = &m->spectral;
  memcpy(w->vectors, m->scale, (size_t)d * (size_t)d * sizeof(double));
  int status = spectral_decompose(w);
  if (status != STATUS_OK)
    return status;
  double least = LAMBDA_FLOOR * w->values[d - 1];
  for (int k = 0; k < d; k++)
    if (!(w->values[k] >= least)) {
      w->values[k] = least;
      floored++;
    }
  if (floored)
    spectral_power(w, d, 1, m->scale);
  tall_times_square(m->orthonormal, m->scale, m->p, d, m->mixing);
  spectral_power(w, d, -1, m->shape);
  tall_times_square(m->orthonormal, m->shape, m->p, d, m->projection);
  spectral_power(w, d, -2, m->shape);
  update_gram(m);
  m->scale_floored += floored;
  return STATUS_OK;
}

/* Least squares (4.7). */
static int update(measurement *m, const double *cross, const double *second) {
  int status = mixing_least_squares(cross, second, m->p, m->d, m->spectral.square, m->mixing);
  update_gram(m);
  return status;
}

/* Columns to length 1, O and Lambda the polar factors of A. */
static int settle(measurement *m, const double *before) {
  size_t p = (size_t)m->p, d = (size_t)m->d;
  int deficient;
  (void)before;
  mixing_normalise(m->mixing, m->p, m->d);
  int status = polar_factor_of(m->mixing, &m->polar, m->orthonormal, &deficient);
  if (status != STATUS_OK)
    return status;
  for (size_t i = 0; i < d; i++) /* Lambda = O'A */
    for (size_t j = 0; j <= i; j++) {
      double one_way = linalg_dot(m->orthonormal + i * p, m->mixing + j * p, p);
      double other = linalg_dot(m->orthonormal + j * p, m->mixing + i * p, p);
      m->scale[i + j * d] = m->scale[j + i * d] = (one_way + other) / 2;
    }
  return refresh(m);
}

static double unexplained(const measurement *m, const double *cross, const double *second) {
  size_t p = (size_t)m->p, d = (size_t)m->d;
  double sum = m->noise.sum_sq;
  for (size_t j = 0; j < d; j++) {
    sum -= 2 * linalg_dot(m->mixing + j * p, cross + j * p, p);
    for (size_t k = 0; k < d; k++)
      sum += second[j + k * d] * m->gram[j + k * d];
  }
  return sum;
}

/* A; extrapolated it would leave columns of length 1, so there is no way back. */
static void pack(const measurement *m, double *point) {
  size_t d = (size_t)m->d, tall = (size_t)m->p * d;
  memcpy(point, m->mixing, tall * sizeof(double));
  memset(point + tall, 0, d * sizeof(double));
}

static void flip(double *v, size_t count, size_t step) {
  for (size_t k = 0; k < count; k++)
    v[k * step] = -v[k * step];
}

/* The signs of column j of A, O and the projection, and of row and column j of Lambda and N. */
static void turn(measurement *m, int j) {
  size_t p = (size_t)m->p, d = (size_t)m->d, at = (size_t)j;
  flip(m->orthonormal + at * p, p, 1);
  flip(m->mixing + at * p, p, 1);
  flip(m->projection + at * p, p, 1);
  double *square[] = {m->scale, m->shape, m->gram};
  for (int k = 0; k < 3; k++) { /* the diagonal entry twice */
    flip(square[k] + at * d, d, 1);
    flip(square[k] + at, d, d);
  }
}

/* ---- posterior moments --------------------------------------------------------------------- */

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
static void covariances(const measurement *m, measurement_task *t, int rows) {
  size_t d = (size_t)m->d;
  double sigma2 = m->noise.value;
  memset(t->product, 0, d * d * BLOCK_ROWS * sizeof(double));
  for (size_t l = 0; l < d; l++)
    for (size_t k = 0; k < d; k++)
      for (size_t q = 0; q < d; q++)
        add_products(entry(t->product, d, k, l), m->shape[q + l * d], entry(t->jacobian, d, k, q),
                     rows);
  for (size_t l = 0; l < d; l++)
    for (size_t k = 0; k <= l; k++) {
      double *upper = entry(t->covariance, d, k, l), *lower = entry(t->covariance, d, l, k);
      for (int i = 0; i < rows; i++)
        upper[i] = sigma2 * m->shape[k + l * d];
      for (size_t q = 0; q < d; q++) {
        double half = sigma2 * sigma2 / 2;
        add_products(upper, half * m->shape[k + q * d], entry(t->product, d, q, l), rows);
        add_products(upper, half * m->shape[l + q * d], entry(t->product, d, q, k), rows);
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

/* The covariance of a row is symmetrised, its negative eigenvalues become 0; returns how many. */
static int floor_row(const measurement *m, measurement_task *t, int row) {
  size_t d = (size_t)m->d;
  int floored = 0;
  for (size_t e = 0; e < d * d; e++)
    t->one.vectors[e] = t->covariance[e * BLOCK_ROWS + (size_t)row];
  if (spectral_decompose(&t->one) != STATUS_OK)
    return m->d; /* not finite: the latents are not either, and the fit says so */
  double least = -ROUNDING * fmax(fabs(t->one.values[0]), fabs(t->one.values[d - 1]));
  for (size_t k = 0; k < d; k++) {
    floored += t->one.values[k] < least;
    t->one.values[k] = t->one.values[k] > 0 ? t->one.values[k] : 0;
  }
  for (size_t i = 0; i < d; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = 0;
      for (size_t k = 0; k < d; k++)
        sum += t->one.values[k] * t->one.vectors[i + k * d] * t->one.vectors[j + k * d];
      t->covariance[(j * d + i) * BLOCK_ROWS + (size_t)row] = sum;
      t->covariance[(i * d + j) * BLOCK_ROWS + (size_t)row] = sum;
    }
  return floored;
}

static void moments(const measurement *m, measurement_task *t, const double *y, size_t n, int rows,
                    double eta, double *mean) {
  size_t d = (size_t)m->d;
  for (size_t j = 0; j < d; j++) {
    memcpy(mean + j * X_ROWS, y + j * n, (size_t)rows * sizeof(double));
    for (size_t k = 0; k < d; k++)
      add_products(mean + j * X_ROWS, eta * m->noise.value * m->shape[j + k * d],
                   t->score + k * BLOCK_ROWS, rows);
  }
  covariances(m, t, rows);
  for (int i = 0; i < rows; i++)
    t->floored[i] = positive_definite(t->covariance, d, i, t->one.vectors) ? 0 : floor_row(m, t, i);
}

const measurement_kind measurement_general_psd = {.name = "psd",
                                                  .full = 1,
                                                  .allocate = allocate,
                                                  .refresh = refresh,
                                                  .moments = moments,
                                                  .update = update,
                                                  .settle = settle,
                                                  .unexplained = unexplained,
                                                  .pack = pack,
                                                  .turn = turn};

const measurement_kind measurement_general_fixed = {.name = "fixed_general",
                                                    .full = 1,
                                                    .held = 1,
                                                    .allocate = allocate,
                                                    .refresh = refresh,
                                                    .moments = moments,
                                                    .unexplained = unexplained,
                                                    .pack = pack,
                                                    .turn = turn};
