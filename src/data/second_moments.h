/* Second moments of the features: S = sum omega (x - m)(x - m)' / n, m the weighted mean or 0.
 *
 *   x       n x p        observations, rows are samples
 *   env     n            domain of a row, from 1
 *   omega   n_domains    row weight n w_e / N_e (Appendix C)
 *   mean    p            m; NULL: 0
 *
 * S itself where features are few, else its product with a narrow block, one pass over the rows.
 * Rows are summed by shards, in order: the same bits for any number of threads.
 */
#ifndef EBCRL_SECOND_MOMENTS_H
#define EBCRL_SECOND_MOMENTS_H

#include "workspace.h"

typedef struct {
  const double *x;
  size_t n;
  int p;
  const int *env;
  const double *omega;
  const double *mean; /* p or NULL */
  int threads;
  /* where one of these is not NULL, x is not read: S itself (p x p), or a function that gives S v
   * in its place */
  const double *second;
  void (*apply)(const double *v, int k, double *out, void *context);
  void *context;
} weighted_rows;

/* Weighted means and mean squares about 0 of the features; either may be NULL. scratch:
 * second_moments_scratch(r, 1) doubles. */
void second_moments_features(const weighted_rows *r, double *mean, double *square, double *scratch);

/* Doubles of scratch for products with k columns. */
size_t second_moments_scratch(const weighted_rows *r, int k);

/* out = S v; v, out: p x k. */
void second_moments_times(const weighted_rows *r, const double *v, int k, double *out,
                          double *scratch);

/* S (p x p); scratch for MOMENT_COLUMNS columns. */
enum { MOMENT_COLUMNS = 16 };
void second_moments_matrix(const weighted_rows *r, double *out, double *scratch);

/* Rows, mean (q) and mean of yy' (q x q) of each domain of y (n x q), unweighted; env: from 1. */
void second_moments_by_domain(const double *y, size_t n, int q, const int *env, int n_domains,
                              double *count, double *mean, double *second);

#endif
