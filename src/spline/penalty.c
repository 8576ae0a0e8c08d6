#include "penalty.h"

#include "vectorize.h"

#include <string.h>

/* Greville abscissa of function i of a degree: the mean of its inner knots, in units of the
 * spacing. Functions of degree 3 number knots + 2, their derivatives' one fewer a degree. */
static double greville(int i, int degree, int knots) {
  double sum = 0;
  for (int k = i - degree + 1; k <= i; k++)
    sum += k < 0 ? 0 : (k > knots - 1 ? knots - 1 : k);
  return sum / degree;
}

/* Second difference i: of the slopes between abscissae. */
static void second_difference(int i, int knots, double *row) {
  double left = 1 / (greville(i + 1, 3, knots) - greville(i, 3, knots));
  double right = 1 / (greville(i + 2, 3, knots) - greville(i + 1, 3, knots));
  row[0] = left;
  row[1] = -left - right;
  row[2] = right;
}

/* Third difference i: of the second derivatives, each a second difference per distance. */
static void third_difference(int i, int knots, double *row) {
  memset(row, 0, 4 * sizeof *row);
  for (int k = 0; k < 2; k++) {
    double second[3], step = greville(i + k + 1, 2, knots) - greville(i + k, 2, knots);
    second_difference(i + k, knots, second);
    for (int a = 0; a < 3; a++)
      row[k + a] += (k == 0 ? -1 : 1) * second[a] / step;
  }
}

static const double *difference_rows(int order, int knots, allocator alloc) {
  int n_rows = knots + 2 - order, width = order + 1;
  double *rows = alloc((size_t)n_rows * (size_t)width, sizeof(double));
  for (int i = 0; i < n_rows; i++)
    (order == 2 ? second_difference : third_difference)(i, knots, rows + width * i);
  return rows;
}

static const double *difference_gram(const double *rows, int order, int n_basis, allocator alloc) {
  int width = order + 1;
  double *gram = alloc((size_t)n_basis * (size_t)width, sizeof(double));
  memset(gram, 0, (size_t)n_basis * (size_t)width * sizeof(double));
  for (int r = 0; r < n_basis - order; r++)
    for (int a = 0; a < width; a++)
      for (int lag = 0; a + lag < width; lag++)
        gram[width * (r + a) + lag] += rows[width * r + a] * rows[width * r + a + lag];
  return gram;
}

void penalty_add_matrix(const penalty *p, double lambda, double *matrix) {
  int n = p->n_basis;
  for (int i = 0; i < n; i++)
    for (int lag = 0; lag <= p->order && i + lag < n; lag++)
      matrix[i * n + i + lag] += lambda * p->gram[(p->order + 1) * i + lag];
}

static void decompose(penalty *p, allocator alloc) {
  int n = p->n_basis;
  p->spectrum = kronecker_spectrum_new(n, alloc);
  memset(p->spectrum.vectors, 0, (size_t)n * (size_t)n * sizeof(double));
  penalty_add_matrix(p, 1, p->spectrum.vectors);
  kronecker_spectrum_of(&p->spectrum, n, alloc(3 * (size_t)n, sizeof(double)));
}

penalty penalty_new(penalty_kind kind, int order, int knots, allocator alloc) {
  penalty p = {.kind = kind, .order = order, .n_basis = knots + 2};
  if (kind == PENALTY_DIFFERENCE) {
    p.difference = difference_rows(order, knots, alloc);
    p.gram = difference_gram(p.difference, order, p.n_basis, alloc);
    decompose(&p, alloc);
  }
  return p;
}

/* Position along coordinate k of feature g. */
static int position(const family *f, size_t g, int k, int n_basis) {
  return (int)(g / f->stride[k] % (size_t)n_basis);
}

double penalty_weight(const penalty *p, const family *f, int k) {
  return p->weight ? p->weight[f->coord[k]] : 1;
}

double penalty_ridge_weight(const penalty *p, const family *f) {
  double sum = 0;
  for (int k = 0; k < f->n_coord; k++)
    sum += penalty_weight(p, f, k);
  return sum / f->n_coord;
}

void penalty_add_band(const penalty *p, double lambda, const family *f, double *band, size_t ld) {
  if (p->kind == PENALTY_RIDGE) {
    lambda *= penalty_ridge_weight(p, f);
    for (size_t g = 0; g < f->n_coef; g++)
      band[g * ld] += lambda;
    return;
  }
  for (int k = 0; k < f->n_coord; k++) {
    double weight = lambda * penalty_weight(p, f, k);
    for (size_t g = 0; g < f->n_coef; g++) {
      int i = position(f, g, k, p->n_basis);
      for (int lag = 0; lag <= p->order && i + lag < p->n_basis; lag++)
        band[g * ld + (size_t)lag * f->stride[k]] += weight * p->gram[(p->order + 1) * i + lag];
    }
  }
}

/* out += lambda D'(D v) along a coordinate of stride step, a difference (width coefficients) at a
 * time; v and out begin at its first. */
INLINE void apply_differences(const penalty *p, double lambda, size_t step, int width,
                              const double *v, double *out) {
  for (int i = 0; i < p->n_basis - width + 1; i++) {
    const double *c = p->difference + width * i;
    size_t g = (size_t)i * step;
    for (size_t inner = 0; inner < step; inner++, g++) {
      double d = 0;
      for (int a = 0; a < width; a++)
        d += c[a] * v[g + (size_t)a * step];
      for (int a = 0; a < width; a++)
        out[g + (size_t)a * step] += lambda * c[a] * d;
    }
  }
}

double penalty_tensor_trace(const penalty *p, const family *f) {
  double trace = 0;
  if (p->kind == PENALTY_RIDGE)
    return penalty_ridge_weight(p, f) * (double)f->n_coef;
  for (int i = 0; i < p->n_basis; i++)
    trace += p->gram[(p->order + 1) * i];
  return trace * penalty_ridge_weight(p, f) * f->n_coord * (double)f->n_coef / p->n_basis;
}

void penalty_apply(const penalty *p, double lambda, const family *f, const double *v, double *out) {
  if (p->kind == PENALTY_RIDGE) {
    lambda *= penalty_ridge_weight(p, f);
    for (size_t g = 0; g < f->n_coef; g++)
      out[g] += lambda * v[g];
    return;
  }
  for (int k = 0; k < f->n_coord; k++) {
    double weight = lambda * penalty_weight(p, f, k);
    size_t step = f->stride[k], outer = step * (size_t)p->n_basis;
    for (size_t start = 0; start < f->n_coef; start += outer)
      if (p->order == 2)
        apply_differences(p, weight, step, 3, v + start, out + start);
      else
        apply_differences(p, weight, step, 4, v + start, out + start);
  }
}

void penalty_shifted_inverse(const penalty *p, double lambda, const family *f, double shift,
                             const double *v, double *out, double *work) {
  if (p->kind == PENALTY_RIDGE) {
    for (size_t g = 0; g < f->n_coef; g++)
      out[g] = v[g] / (lambda + shift);
    return;
  }
  spectrum each[MAX_COORD];
  for (int k = 0; k < f->n_coord; k++)
    each[k] = p->spectrum;
  kronecker_inverse(each, p->n_basis, lambda, f, shift, v, out, work);
}
