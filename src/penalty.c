#include "penalty.h"

double second_difference_gram(int i, int lag, int n_basis) {
  static const double stencil[3] = {1, -2, 1};
  double sum = 0;
  for (int row = i + lag - 2; row <= i; row++) /* rows of D that touch both i and i + lag */
    if (row >= 0 && row + 2 < n_basis && i + lag < n_basis)
      sum += stencil[i - row] * stencil[i + lag - row];
  return sum;
}

/* Digit of coordinate k in feature index g. */
static int digit(const family *f, size_t g, int k, int n_basis) {
  return (int)(g / f->stride[k] % (size_t)n_basis);
}

void penalty_add_band(double *band, size_t ld, const family *f, int n_basis, penalty_kind kind,
                      double lambda) {
  if (kind == PENALTY_RIDGE) {
    for (size_t g = 0; g < f->n_coef; g++)
      band[g * ld] += lambda;
    return;
  }
  for (int k = 0; k < f->n_coord; k++)
    for (size_t g = 0; g < f->n_coef; g++) {
      int i = digit(f, g, k, n_basis);
      for (int lag = 0; lag <= 2 && i + lag < n_basis; lag++)
        band[g * ld + (size_t)lag * f->stride[k]] +=
            lambda * second_difference_gram(i, lag, n_basis);
    }
}

void penalty_apply(double *out, const double *v, const family *f, int n_basis, penalty_kind kind,
                   double lambda) {
  if (kind == PENALTY_RIDGE) {
    for (size_t g = 0; g < f->n_coef; g++)
      out[g] += lambda * v[g];
    return;
  }
  for (int k = 0; k < f->n_coord; k++) {
    size_t inner = f->stride[k], outer = inner * (size_t)n_basis;
    for (size_t start = 0; start < f->n_coef; start += outer)
      for (int i = 0; i + 2 < n_basis; i++) /* lambda D'(D v), a difference at a time */
        for (size_t g = start + (size_t)i * inner; g < start + (size_t)(i + 1) * inner; g++) {
          double d = lambda * (v[g] - 2 * v[g + inner] + v[g + 2 * inner]);
          out[g] += d;
          out[g + inner] -= 2 * d;
          out[g + 2 * inner] += d;
        }
  }
}

void penalty_add_diagonal(double *out, const family *f, int n_basis, penalty_kind kind,
                          double lambda) {
  for (size_t g = 0; g < f->n_coef; g++) {
    if (kind == PENALTY_RIDGE) {
      out[g] += lambda;
      continue;
    }
    for (int k = 0; k < f->n_coord; k++)
      out[g] += lambda * second_difference_gram(digit(f, g, k, n_basis), 0, n_basis);
  }
}
