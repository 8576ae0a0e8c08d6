#include "penalty.h"

#include "vectorize.h"

#include <R_ext/Lapack.h>
#include <string.h>

/* Greville abscissa of function i: the mean of its three inner knots, in units of the spacing. */
static double greville(int i, int knots) {
  double sum = 0;
  for (int k = i - 2; k <= i; k++)
    sum += k < 0 ? 0 : (k > knots - 1 ? knots - 1 : k);
  return sum / 3;
}

static const double *difference_rows(int knots, allocator alloc) {
  double *rows = alloc((size_t)knots * 3, sizeof(double));
  for (int i = 0; i < knots; i++) {
    double left = 1 / (greville(i + 1, knots) - greville(i, knots));
    double right = 1 / (greville(i + 2, knots) - greville(i + 1, knots));
    rows[3 * i] = left;
    rows[3 * i + 1] = -left - right;
    rows[3 * i + 2] = right;
  }
  return rows;
}

static const double *difference_gram(const double *rows, int n_basis, allocator alloc) {
  double *gram = alloc((size_t)n_basis * 3, sizeof(double));
  memset(gram, 0, (size_t)n_basis * 3 * sizeof(double));
  for (int r = 0; r < n_basis - 2; r++)
    for (int a = 0; a < 3; a++)
      for (int lag = 0; a + lag < 3; lag++)
        gram[3 * (r + a) + lag] += rows[3 * r + a] * rows[3 * r + a + lag];
  return gram;
}

/* Eigenvectors of D'D; its size is that of one coordinate's basis. */
static void decompose(penalty *p, allocator alloc) {
  int k = p->n_basis, lwork = 3 * k, info;
  double *vectors = alloc((size_t)k * (size_t)k, sizeof(double));
  double *values = alloc((size_t)k, sizeof(double)), *work = alloc((size_t)lwork, sizeof(double));
  memset(vectors, 0, (size_t)k * (size_t)k * sizeof(double));
  for (int i = 0; i < k; i++)
    for (int lag = 0; lag < 3 && i + lag < k; lag++)
      vectors[(size_t)i * (size_t)k + (size_t)(i + lag)] = p->gram[3 * i + lag];
  F77_CALL(dsyev)("V", "L", &k, vectors, &k, values, work, &lwork, &info FCONE FCONE);
  p->vectors = vectors;
  p->values = values;
}

penalty penalty_new(penalty_kind kind, int knots, allocator alloc) {
  penalty p = {.kind = kind, .n_basis = knots + 2};
  if (kind == PENALTY_DIFFERENCE) {
    p.difference = difference_rows(knots, alloc);
    p.gram = difference_gram(p.difference, p.n_basis, alloc);
    decompose(&p, alloc);
  }
  return p;
}

/* Position along coordinate k of feature g. */
static int position(const family *f, size_t g, int k, int n_basis) {
  return (int)(g / f->stride[k] % (size_t)n_basis);
}

void penalty_add_band(const penalty *p, double lambda, const family *f, double *band, size_t ld) {
  if (p->kind == PENALTY_RIDGE) {
    for (size_t g = 0; g < f->n_coef; g++)
      band[g * ld] += lambda;
    return;
  }
  for (int k = 0; k < f->n_coord; k++)
    for (size_t g = 0; g < f->n_coef; g++) {
      int i = position(f, g, k, p->n_basis);
      for (int lag = 0; lag < 3 && i + lag < p->n_basis; lag++)
        band[g * ld + (size_t)lag * f->stride[k]] += lambda * p->gram[3 * i + lag];
    }
}

void penalty_apply(const penalty *p, double lambda, const family *f, const double *v, double *out) {
  if (p->kind == PENALTY_RIDGE) {
    for (size_t g = 0; g < f->n_coef; g++)
      out[g] += lambda * v[g];
    return;
  }
  for (int k = 0; k < f->n_coord; k++) {
    size_t step = f->stride[k], outer = step * (size_t)p->n_basis;
    for (size_t start = 0; start < f->n_coef; start += outer)
      for (int i = 0; i < p->n_basis - 2; i++) { /* lambda D'(D v), a difference at a time */
        const double *c = p->difference + 3 * i;
        size_t g = start + (size_t)i * step;
        for (size_t inner = 0; inner < step; inner++, g++) {
          double d = lambda * (c[0] * v[g] + c[1] * v[g + step] + c[2] * v[g + 2 * step]);
          out[g] += c[0] * d;
          out[g + step] += c[1] * d;
          out[g + 2 * step] += c[2] * d;
        }
      }
  }
}

/* out = v with coordinate k multiplied by the eigenvectors or their transpose. */
WIDE_VECTORS static void rotate_coordinate(const penalty *p, const family *f, int k, int transpose,
                                           const double *restrict v, double *restrict out) {
  size_t n_basis = (size_t)p->n_basis, step = f->stride[k], outer = step * n_basis;
  memset(out, 0, f->n_coef * sizeof(double));
  for (size_t start = 0; start < f->n_coef; start += outer)
    for (size_t i = 0; i < n_basis; i++)
      for (size_t j = 0; j < n_basis; j++) {
        double c = transpose ? p->vectors[j + i * n_basis] : p->vectors[i + j * n_basis];
        const double *from = v + start + j * step;
        double *to = out + start + i * step;
        SIMD for (size_t inner = 0; inner < step; inner++) to[inner] += c * from[inner];
      }
}

void penalty_shifted_inverse(const penalty *p, double lambda, const family *f, double shift,
                             const double *v, double *out, double *work) {
  if (p->kind == PENALTY_RIDGE) {
    for (size_t g = 0; g < f->n_coef; g++)
      out[g] = v[g] / (lambda + shift);
    return;
  }
  memcpy(out, v, f->n_coef * sizeof(double));
  for (int k = 0; k < f->n_coord; k++) {
    rotate_coordinate(p, f, k, 1, out, work);
    memcpy(out, work, f->n_coef * sizeof(double));
  }
  for (size_t g = 0; g < f->n_coef; g++) {
    double value = 0;
    for (int k = 0; k < f->n_coord; k++)
      value += p->values[position(f, g, k, p->n_basis)];
    out[g] /= lambda * value + shift;
  }
  for (int k = 0; k < f->n_coord; k++) {
    rotate_coordinate(p, f, k, 0, out, work);
    memcpy(out, work, f->n_coef * sizeof(double));
  }
}
