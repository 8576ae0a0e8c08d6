#include "top_eigen.h"

#include "linalg.h"
#include "rng.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* Columns beside those that are wanted: convergence goes by the eigenvalues below the block. */
enum { GUARDS = 4, MOST_PASSES = 300 };

/* Vectors of eigenvalues that are not apart from those of noise hardly converge, and matter as
 * little: after so many passes, from random vectors and from those of a matrix nearby, a sum of
 * eigenvalues that grows by less than this share, or than a hundredth of the tolerance, will do. */
enum { PATIENCE = 25, PATIENCE_NEARBY = 2 };
static const double STANDS = 1e-8;

/* Directions of the basis whose share of it is below this are linearly dependent. */
static const double DEPENDENT = 1e-12;

static const uint64_t BLOCK_SEED = 1;

static double *column(double *m, int p, int j) {
  return m + (size_t)j * (size_t)p;
}

static void allocate_block(top_eigen *t, allocator alloc) {
  size_t p = (size_t)t->p, wide = 3 * (size_t)t->k;
  t->k = t->q + GUARDS < t->p ? t->q + GUARDS : t->p;
  wide = 3 * (size_t)t->k;
  t->value = alloc((size_t)t->k, sizeof(double));
  t->vector = alloc(p * (size_t)t->k, sizeof(double));
  t->basis = alloc(p * wide, sizeof(double));
  t->image = alloc(p * wide, sizeof(double));
  t->scaled = alloc(p * (size_t)t->k, sizeof(double));
  t->gram = alloc(5 * wide * wide + wide, sizeof(double));
  t->lwork = (int)(64 * wide);
  t->work = alloc((size_t)t->lwork, sizeof(double));
  t->scratch = alloc(second_moments_scratch(t->rows, t->k), sizeof(double));
}

static void allocate_dense(top_eigen *t, allocator alloc) {
  size_t p = (size_t)t->p;
  t->k = t->q;
  t->value = alloc(p, sizeof(double));
  t->vector = alloc(p * (size_t)t->k, sizeof(double));
  t->gram = alloc(p * p, sizeof(double));
  t->lwork = 64 * t->p;
  t->work = alloc((size_t)t->lwork, sizeof(double));
  t->iwork = alloc(12 * p, sizeof(int));
}

top_eigen top_eigen_new(int p, int q, const double *second, const weighted_rows *rows,
                        allocator alloc) {
  top_eigen t = {.p = p,
                 .q = q,
                 .k = q,
                 .second = second,
                 .rows = rows,
                 .max_passes = MOST_PASSES};
  if (second)
    allocate_dense(&t, alloc);
  else
    allocate_block(&t, alloc);
  return t;
}

/* Largest first. */
static void reverse_columns(double *value, double *vector, int p, int k) {
  for (int a = 0, b = k - 1; a < b; a++, b--) {
    double v = value[a];
    value[a] = value[b];
    value[b] = v;
    for (size_t i = 0; i < (size_t)p; i++) {
      double *x = vector + (size_t)a * (size_t)p + i, *y = vector + (size_t)b * (size_t)p + i;
      double w = *x;
      *x = *y;
      *y = w;
    }
  }
}

static int find_dense(top_eigen *t, const double *scale) {
  int p = t->p, low = p - t->q + 1, found, info, liwork = 10 * p;
  const double none = 0;
  for (int j = 0; j < p; j++)
    for (int i = j; i < p; i++)
      t->gram[i + (size_t)j * (size_t)p] =
          scale[i] * scale[j] * t->second[i + (size_t)j * (size_t)p];
  F77_CALL(dsyevr)
  ("V", "I", "L", &p, t->gram, &p, &none, &none, &low, &p, &none, &found, t->value, t->vector, &p,
   t->iwork + liwork, t->work, &t->lwork, t->iwork, &liwork, &info FCONE FCONE FCONE);
  if (info != 0 || found != t->q)
    return STATUS_SVD;
  reverse_columns(t->value, t->vector, p, t->q);
  return STATUS_OK;
}

/* out = D S D v, k columns: one pass over the rows. */
static void apply(top_eigen *t, const double *scale, const double *v, double *out) {
  size_t p = (size_t)t->p;
  for (int c = 0; c < t->k; c++)
    for (size_t i = 0; i < p; i++)
      t->scaled[(size_t)c * p + i] = scale[i] * v[(size_t)c * p + i];
  second_moments_times(t->rows, t->scaled, t->k, out, t->scratch);
  for (int c = 0; c < t->k; c++)
    for (size_t i = 0; i < p; i++)
      out[(size_t)c * p + i] *= scale[i];
  t->passes++;
}

static void inner_products(const double *a, const double *b, int p, int m, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("T", "N", &m, &m, &p, &one, a, &p, b, &p, &zero, out, &m FCONE FCONE);
}

/* Turns v (ascending order of `value`, m of them) of the pencil (H, G), G = B'B of rank `*rank`:
 * out (m x rank) with out' G out = 1 and out' H out diagonal. */
static int rayleigh_ritz(top_eigen *t, int m, double *value, double *out, int *rank) {
  size_t square = (size_t)m * (size_t)m;
  double *g = t->gram, *h = g + square, *half = h + square, *small = half + square;
  const double one = 1, zero = 0;
  int info, kept = 0;
  F77_CALL(dsyev)("V", "L", &m, g, &m, value, t->work, &t->lwork, &info FCONE FCONE);
  if (info != 0)
    return STATUS_SVD;
  for (int j = m - 1; j >= 0 && value[j] > DEPENDENT * value[m - 1]; j--, kept++)
    for (int i = 0; i < m; i++)
      out[i + (size_t)kept * (size_t)m] = g[i + (size_t)j * (size_t)m] / sqrt(value[j]);
  F77_CALL(dgemm)
  ("N", "N", &m, &kept, &m, &one, h, &m, out, &m, &zero, half, &m FCONE FCONE);
  F77_CALL(dgemm)
  ("T", "N", &kept, &kept, &m, &one, out, &m, half, &m, &zero, small, &kept FCONE FCONE);
  F77_CALL(dsyev)("V", "L", &kept, small, &kept, value, t->work, &t->lwork, &info FCONE FCONE);
  if (info != 0)
    return STATUS_SVD;
  memcpy(half, out, (size_t)m * (size_t)kept * sizeof(double));
  F77_CALL(dgemm)
  ("N", "N", &m, &kept, &kept, &one, half, &m, small, &kept, &zero, out, &m FCONE FCONE);
  *rank = kept;
  return STATUS_OK;
}

/* The first k columns of b become b c, the last k those of the same sum without the first k: the
 * steps. c: m x k, ascending, of which the last column is the leading one. */
static void combine(top_eigen *t, double *b, const double *c, int m) {
  int p = t->p, k = t->k, rest = m - k;
  size_t tall = (size_t)p * (size_t)k;
  const double one = 1, zero = 0;
  double *steps = t->scaled, *last = column(b, p, 2 * k);
  if (rest > 0) {
    F77_CALL(dgemm)
    ("N", "N", &p, &k, &rest, &one, column(b, p, k), &p, c + k, &m, &zero, steps, &p FCONE FCONE);
  } else {
    memset(steps, 0, tall * sizeof(double));
  }
  double *heads = column(b, p, k); /* its columns have been used */
  F77_CALL(dgemm)("N", "N", &p, &k, &k, &one, b, &p, c, &m, &zero, heads, &p FCONE FCONE);
  for (size_t g = 0; g < tall; g++)
    b[g] = heads[g] + steps[g];
  memcpy(last, steps, tall * sizeof(double));
}

/* Columns of length 1 in the basis, and the same factor in the image. */
static void normalise(double *basis, double *image, int p, int k) {
  for (int j = 0; j < k; j++) {
    double *b = column(basis, p, j), *w = column(image, p, j);
    double length = sqrt(linalg_dot(b, b, (size_t)p));
    for (int i = 0; i < p && length > 0; i++) {
      b[i] /= length;
      w[i] /= length;
    }
  }
}

/* Residuals of the block, behind it in the basis; is the largest of the first q small enough? */
static int residuals(top_eigen *t) {
  int p = t->p, done = 1;
  for (int j = 0; j < t->k; j++) {
    const double *v = column(t->basis, p, j), *w = column(t->image, p, j);
    double *r = column(t->basis, p, t->k + j), square = 0;
    for (int i = 0; i < p; i++) {
      r[i] = w[i] - t->value[j] * v[i];
      square += r[i] * r[i];
    }
    if (j < t->q && !(sqrt(square) <= t->tol * t->value[j]))
      done = 0;
  }
  return done;
}

/* One Rayleigh-Ritz step in the first m columns of the basis. */
static int ritz_step(top_eigen *t, int m) {
  int rank, k = t->k;
  size_t square = (size_t)m * (size_t)m;
  double *value = t->gram + 5 * square, *turn = t->gram + 4 * square;
  inner_products(t->basis, t->basis, t->p, m, t->gram);
  inner_products(t->basis, t->image, t->p, m, t->gram + square);
  int status = rayleigh_ritz(t, m, value, turn, &rank);
  if (status != STATUS_OK)
    return status;
  if (rank < k)
    return STATUS_DEPENDENT;
  double *best = turn + (size_t)(rank - k) * (size_t)m;
  reverse_columns(value + rank - k, best, m, k);
  memcpy(t->value, value + rank - k, (size_t)k * sizeof(double));
  combine(t, t->basis, best, m);
  combine(t, t->image, best, m);
  return STATUS_OK;
}

/* Sum of the wanted eigenvalues: the likelihood's part in them. */
static double wanted_sum(const top_eigen *t) {
  double sum = 0;
  for (int j = 0; j < t->q; j++)
    sum += t->value[j];
  return sum;
}

static void fill_block(top_eigen *t) {
  for (int j = t->known; j < t->k; j++)
    rng_normals(BLOCK_SEED, 0, (uint64_t)j, column(t->vector, t->p, j), (size_t)t->p);
  t->known = t->k;
}

void top_eigen_start(top_eigen *t, const double *scale, const double *block, int columns) {
  size_t p = (size_t)t->p;
  if (t->second)
    return;
  t->known = columns < t->k ? columns : t->k - 1;
  for (size_t j = 0; j < (size_t)t->known; j++)
    for (size_t i = 0; i < p; i++)
      t->vector[i + j * p] = scale[i] * block[i + j * p];
}

void top_eigen_block(const top_eigen *t, const double *scale, double *block) {
  size_t p = (size_t)t->p;
  for (size_t j = 0; j < (size_t)t->k; j++)
    for (size_t i = 0; i < p; i++)
      block[i + j * p] = t->vector[i + j * p] / scale[i];
}

static int find_by_blocks(top_eigen *t, const double *scale) {
  int p = t->p, k = t->k, has_steps = 0, status;
  size_t tall = (size_t)p * (size_t)k * sizeof(double);
  int patience = t->known < t->q ? PATIENCE : PATIENCE_NEARBY;
  fill_block(t);
  memcpy(t->basis, t->vector, tall);
  apply(t, scale, t->basis, t->image);
  normalise(t->basis, t->image, p, k);
  status = ritz_step(t, k);
  for (int pass = 1; status == STATUS_OK && !residuals(t); pass++) {
    if (pass == t->max_passes) {
      t->unconverged++;
      break;
    }
    double *behind = column(t->basis, p, k), *last = column(t->basis, p, 2 * k);
    apply(t, scale, behind, column(t->image, p, k));
    normalise(behind, column(t->image, p, k), p, k);
    if (has_steps)
      normalise(last, column(t->image, p, 2 * k), p, k);
    double before = wanted_sum(t);
    status = ritz_step(t, has_steps ? 3 * k : 2 * k);
    has_steps = 1;
    if (pass >= patience && wanted_sum(t) - before < fmax(STANDS, 0.01 * t->tol) * before)
      break;
  }
  memcpy(t->vector, t->basis, tall);
  return status;
}

int top_eigen_find(top_eigen *t, const double *scale) {
  return t->second ? find_dense(t, scale) : find_by_blocks(t, scale);
}
