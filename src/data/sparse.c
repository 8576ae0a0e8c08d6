#include "sparse.h"

#include <string.h>

static void add_multiple(double by, const double *v, int k, double *out) {
  for (int c = 0; c < k; c++)
    out[c] += by * v[c];
}

void sparse_times(const sparse_rows *r, const double *v, int k, double *out) {
  size_t wide = (size_t)k, lines = r->by_row ? r->n : (size_t)r->p;
  memset(out, 0, r->n * wide * sizeof(double));
  for (size_t line = 0; line < lines; line++)
    for (int t = r->start[line]; t < r->start[line + 1]; t++) {
      size_t at = (size_t)r->index[t], row = r->by_row ? line : at, column = r->by_row ? at : line;
      add_multiple(r->value[t], v + column * wide, k, out + row * wide);
    }
}

void sparse_cross(const sparse_rows *r, const double *w, int k, double *out) {
  size_t wide = (size_t)k, lines = r->by_row ? r->n : (size_t)r->p;
  for (size_t line = 0; line < lines; line++)
    for (int t = r->start[line]; t < r->start[line + 1]; t++) {
      size_t at = (size_t)r->index[t], row = r->by_row ? line : at, column = r->by_row ? at : line;
      add_multiple(r->value[t], w + row * wide, k, out + column * wide);
    }
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

void sparse_squares(const sparse_rows *r, const int *env, int n_domains, double *square,
                    double *scratch) {
  size_t lines = r->by_row ? r->n : (size_t)r->p;
  memset(scratch, 0, r->n * sizeof(double));
  for (size_t line = 0; line < lines; line++)
    for (int t = r->start[line]; t < r->start[line + 1]; t++)
      scratch[r->by_row ? line : (size_t)r->index[t]] += r->value[t] * r->value[t];
  memset(square, 0, (size_t)n_domains * sizeof(double));
  for (size_t i = 0; i < r->n; i++)
    square[env[i] - 1] += scratch[i];
}
