/* Regression of z on an additive function of its parents, sum_k f_k(z_k), each f_k a cubic spline
 * of K functions with a penalty on its second differences:
 *
 *   (G + P) theta = r,   G = sum omega b b',  r = sum omega b z,  P = blocks lambda_k D'D + jitter
 * I
 *
 * of m = n_terms K coefficients, the functions of a parent side by side. G is held by its lower
 * triangle (products of a parent with itself go in whole squares: what lies above the diagonal is
 * not read). The jitter decides where constants go, which parents can exchange. A row touches four
 * functions of each parent. What is done with theta, and with the variance that is left, is the
 * caller's: mechanism.c, refine.c, edge_loss.c.
 */
#ifndef EBCRL_ADDITIVE_H
#define EBCRL_ADDITIVE_H

#include "bspline.h"
#include "penalty.h"
#include "vectorize.h"

typedef struct {
  int size, n_basis; /* m, K */
  double *gram;      /* m x m */
  double *rhs;       /* m */
} additive_sums;

/* Basis functions of variables at a row: of that at place q, the ORDER functions from number
 * first[q] on are value[q * ORDER] .. */
typedef struct {
  const int *first;
  const double *value;
} additive_basis;

/* The products of the functions of one variable with those of another, or its own, added to a
 * column of G. */
INLINE void additive_add_products(double weight, const double *other, double *column) {
  SIMD for (int u = 0; u < ORDER; u++) column[u] += weight * other[u];
}

/* A row into the sums; its parents are at places at[0], ..., ascending. */
INLINE void additive_add(const additive_sums *s, const additive_basis *b, int n_terms,
                         const int *at, double z, double weight) {
  for (int k = 0; k < n_terms; k++) {
    int col = k * s->n_basis + b->first[at[k]];
    const double *value = b->value + at[k] * ORDER;
    for (int t = 0; t < ORDER; t++) {
      double wv = weight * value[t], *column = s->gram + (size_t)(col + t) * (size_t)s->size;
      s->rhs[col + t] += wv * z;
      additive_add_products(wv, value, column + col);
      for (int l = k + 1; l < n_terms; l++)
        additive_add_products(wv, b->value + at[l] * ORDER,
                              column + l * s->n_basis + b->first[at[l]]);
    }
  }
}

/* G becomes G + P; lambda: one a parent. */
void additive_penalise(const penalty *p, int n_terms, const double *lambda, double jitter,
                       double *gram);

/* theta = (G + P)^-1 r; penalised: G + P, becomes its Cholesky factor, or, where wanted, its
 * inverse (lower triangle). STATUS_SINGULAR where it is not positive definite. */
int additive_solve(int size, double *penalised, const double *rhs, double *theta, int inverse);

/* Sum of squared residuals, square - 2 theta'r + theta'G theta; square: sum omega z^2, scratch: m.
 */
double additive_residual(int size, const double *gram, const double *rhs, double square,
                         const double *theta, double *scratch);

#endif
