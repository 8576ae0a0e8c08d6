#include "sparse.h"

#include "vectorize.h"

#include <string.h>

/* Columns that products are taken with at once: a vector or two. */
enum { WIDE = 8 };

INLINE void add_wide(double by, const double *restrict v, double *restrict out) {
  SIMD for (int c = 0; c < WIDE; c++) out[c] += by * v[c];
}

INLINE void add_multiple(double by, const double *v, int k, double *out) {
  for (int c = 0; c < k; c++)
    out[c] += by * v[c];
}

/* out[to of an entry] += entry * v[from of the entry], rows of k. Entries go line by line; turned:
 * from the line to the index, else from the index to the line. */
WIDE_VECTORS static void add_entries(const sparse_rows *r, const double *v, int k, int turned,
                                     double *out) {
  size_t wide = (size_t)k, lines = r->by_row ? r->n : (size_t)r->p;
  for (size_t line = 0; line < lines; line++) {
    const double *v_line = v + line * wide;
    double *out_line = out + line * wide;
    if (k == WIDE && turned)
      for (int t = r->start[line]; t < r->start[line + 1]; t++)
        add_wide(r->value[t], v_line, out + (size_t)r->index[t] * WIDE);
    else if (k == WIDE)
      for (int t = r->start[line]; t < r->start[line + 1]; t++)
        add_wide(r->value[t], v + (size_t)r->index[t] * WIDE, out_line);
    else
      for (int t = r->start[line]; t < r->start[line + 1]; t++) {
        size_t at = (size_t)r->index[t] * wide;
        add_multiple(r->value[t], turned ? v_line : v + at, k, turned ? out + at : out_line);
      }
  }
}

void sparse_times(const sparse_rows *r, const double *v, int k, double *out) {
  memset(out, 0, r->n * (size_t)k * sizeof(double));
  add_entries(r, v, k, !r->by_row, out);
}

void sparse_cross(const sparse_rows *r, const double *w, int k, double *out) {
  add_entries(r, w, k, r->by_row, out);
}

void sparse_turned(const double *m, size_t rows, size_t columns, double *out) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++)
      out[j + i * columns] = m[i + j * rows];
}

void sparse_shift(const double *product, size_t n, int k, const double *offset, double *out) {
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < (size_t)k; c++)
      out[i + c * n] = product[i * (size_t)k + c] - offset[c];
}

void sparse_moments_times(const sparse_rows *r, const int *env, const double *omega,
                          const double *mean, const double *v, int k, double *out,
                          double *scratch) {
  size_t wide = (size_t)k, p = (size_t)r->p;
  double *turned = scratch, *sum = turned + p * wide, *product = sum + p * wide;
  sparse_turned(v, p, wide, turned);
  sparse_times(r, turned, k, product);
  for (int c = 0; c < k; c++) {
    double shift = 0;
    for (size_t j = 0; mean && j < p; j++)
      shift += mean[j] * v[j + (size_t)c * p];
    for (size_t i = 0; i < r->n; i++)
      product[i * wide + (size_t)c] = omega[env[i] - 1] * (product[i * wide + (size_t)c] - shift);
  }
  memset(sum, 0, p * wide * sizeof(double));
  sparse_cross(r, product, k, sum);
  sparse_turned(sum, wide, p, out);
}

void sparse_feature_sums(const sparse_rows *r, const double *weight, int squared, double *out) {
  size_t lines = r->by_row ? r->n : (size_t)r->p;
  memset(out, 0, (size_t)r->p * sizeof(double));
  for (size_t line = 0; line < lines; line++)
    for (int t = r->start[line]; t < r->start[line + 1]; t++) {
      size_t at = (size_t)r->index[t], row = r->by_row ? line : at, column = r->by_row ? at : line;
      out[column] += weight[row] * (squared ? r->value[t] * r->value[t] : r->value[t]);
    }
}

void sparse_squares(const sparse_rows *r, const int *env, int n_domains, const int *counted,
                    double *square, double *scratch) {
  size_t lines = r->by_row ? r->n : (size_t)r->p;
  memset(scratch, 0, r->n * sizeof(double));
  for (size_t line = 0; line < lines; line++)
    for (int t = r->start[line]; t < r->start[line + 1]; t++) {
      size_t at = (size_t)r->index[t], row = r->by_row ? line : at, column = r->by_row ? at : line;
      if (!counted || counted[column])
        scratch[row] += r->value[t] * r->value[t];
    }
  memset(square, 0, (size_t)n_domains * sizeof(double));
  for (size_t i = 0; i < r->n; i++)
    square[env[i] - 1] += scratch[i];
}
