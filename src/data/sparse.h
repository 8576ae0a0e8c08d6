/* Sparse rows, by column or by row, and products with them. They are never made dense: means are
 * taken off what the products give.
 *
 * Narrow matrices go with the index of the column first (k x n, k x p), so that one entry of the
 * rows meets k neighbours.
 */
#ifndef EBCRL_SPARSE_H
#define EBCRL_SPARSE_H

#include <stddef.h>

typedef struct {
  size_t n;
  int p;
  int by_row;          /* else by column */
  const int *start;    /* of each row or column, one past the last at the end */
  const int *index;    /* column or row of each stored entry, from 0 */
  const double *value; /* stored entries */
} sparse_rows;

/* out (k x n) = (x v)', v as k x p. */
void sparse_times(const sparse_rows *r, const double *v, int k, double *out);

/* out (k x p) += (x'w)', w as k x n. */
void sparse_cross(const sparse_rows *r, const double *w, int k, double *out);

/* out (p x k) = sum omega x (x - mean)'v, v p x k; mean NULL: 0. env: domain of a row, from 1.
 * scratch: k (n + 2 p) doubles. */
void sparse_moments_times(const sparse_rows *r, const int *env, const double *omega,
                          const double *mean, const double *v, int k, double *out, double *scratch);

/* out (p) = sums of weight (n) times the columns, or times their squares. */
void sparse_feature_sums(const sparse_rows *r, const double *weight, int squared, double *out);

/* square (n_domains): sum of |x_i|^2 over the rows of each domain; counted (p): which columns, NULL:
 * all; scratch: n doubles. */
void sparse_squares(const sparse_rows *r, const int *env, int n_domains, const int *counted,
                    double *square, double *scratch);

/* out (n x k) = product (k x n) turned over, less an offset (k) of each column. */
void sparse_shift(const double *product, size_t n, int k, const double *offset, double *out);

/* m (rows x columns) to out (columns x rows). */
void sparse_turned(const double *m, size_t rows, size_t columns, double *out);

#endif
