#include "row_noise.h"

#include "packed.h"

#include <math.h>
#include <string.h>

void row_noise_observed(const weighted_rows *r, size_t start, int many, double *out) {
  for (int j = 0; j < r->p; j++)
    for (int i = 0; i < many; i++)
      out[(size_t)i * (size_t)r->p + (size_t)j] = r->x[start + (size_t)i + (size_t)j * r->n];
}

double row_noise_sums(const noise_model *m, const double *b, const double *x, int q,
                      double *precision, double *inner) {
  size_t p = (size_t)m->p;
  double log_density = 0;
  for (size_t j = 0; j < p; j++) {
    if (isnan(x[j]))
      continue;
    double weight = 1 / m->psi[j], off = x[j] - m->mean[j];
    log_density -= log(2 * M_PI * m->psi[j]) + off * off * weight;
    for (int c = 0, g = 0; c < q; c++) {
      double scaled = b[j + (size_t)c * p] * weight;
      inner[c] += scaled * off;
      for (int r = c; r < q; r++)
        precision[g++] += scaled * b[j + (size_t)r * p];
    }
  }
  return log_density / 2;
}

static void project_row(const noise_model *m, const double *span, int q, const double *x,
                        double *coord, double *noise, double *precision) {
  double root[PACKED_NUMBERS];
  memset(root, 0, packed_size(q) * sizeof(double));
  memset(coord, 0, (size_t)q * sizeof(double));
  row_noise_sums(m, span, x, q, root, coord);
  for (size_t g = 0; g < packed_size(q); g++)
    precision[g] += root[g];
  if (isnan(packed_cholesky(root, q))) {
    for (int c = 0; c < q; c++)
      coord[c] = NAN;
    for (size_t g = 0; g < packed_size(q); g++)
      noise[g] = NAN;
    return;
  }
  packed_solve(root, q, coord);
  packed_inverse(root, q, noise);
}

void row_noise_project(const noise_model *m, const weighted_rows *rows, const double *span, int q,
                       row_coordinates *out) {
  double mean[PACKED_NUMBERS] = {0}, own[PACKED_NUMBERS], at[PACKED_MOST];
  for (size_t i = 0; i < rows->n; i++) {
    row_noise_observed(rows, i, 1, out->row);
    project_row(m, span, q, out->row, at, own, mean);
    for (int c = 0; c < q; c++)
      out->coord[i + (size_t)c * rows->n] = at[c];
    for (size_t g = 0; g < packed_size(q); g++)
      out->noise[i + g * rows->n] = own[g];
  }
  for (int c = 0; c < q; c++)
    for (int k = c; k < q; k++)
      out->precision[k + c * q] = out->precision[c + k * q] =
          mean[packed_at(q, k, c)] / (double)rows->n;
}

/* full (d x d) = row i of packed matrices. */
static void unpack_row(const double *noise, size_t n, size_t i, int d, double *full) {
  for (int c = 0; c < d; c++)
    for (int r = c; r < d; r++)
      full[r + c * d] = full[c + r * d] = noise[i + packed_at(d, r, c) * n];
}

void row_noise_turn(const double *noise, const double *turn, size_t n, int q, int d, double *out) {
  double full[PACKED_MOST * PACKED_MOST];
  for (size_t i = 0; i < n; i++) {
    unpack_row(noise, n, i, q, full);
    for (int c = 0; c < d; c++)
      for (int r = c; r < d; r++) {
        double sum = 0;
        for (int k = 0; k < q; k++)
          for (int l = 0; l < q; l++)
            sum += turn[r + k * d] * full[k + l * q] * turn[c + l * d];
        out[i + packed_at(d, r, c) * n] = sum;
      }
  }
}

/* b (d x k) = a^-1 b by elimination with pivots; a is overwritten. */
static void eliminate(double *a, double *b, int d, int k) {
  for (int c = 0; c < d; c++) {
    int pivot = c;
    for (int r = c + 1; r < d; r++)
      if (fabs(a[r + c * d]) > fabs(a[pivot + c * d]))
        pivot = r;
    for (int l = 0; l < d + k; l++) {
      double *column = l < d ? a + l * d : b + (l - d) * d, kept = column[c];
      column[c] = column[pivot];
      column[pivot] = kept;
    }
    for (int r = 0; r < d; r++) {
      double factor = r == c ? 0 : a[r + c * d] / a[c + c * d];
      for (int l = 0; l < d + k && factor != 0; l++) {
        double *column = l < d ? a + l * d : b + (l - d) * d;
        column[r] -= factor * column[c];
      }
    }
  }
  for (int l = 0; l < k; l++)
    for (int r = 0; r < d; r++)
      b[r + l * d] /= a[r + r * d];
}

/* a = 1 - (N_i - N) diag(J): own (d x d) is N_i. J is taken as 0 where the density bends upwards.
 */
static void resolvent(const noisy_rows *rows, size_t i, const double *own, double *a) {
  int d = rows->d;
  for (int c = 0; c < d; c++)
    for (int r = 0; r < d; r++)
      a[r + c * d] = (r == c) - (own[r + c * d] - rows->common[r + c * d]) *
                                    fmin(rows->dscore[i + (size_t)c * rows->n], 0);
}

void row_noise_newton(const noisy_rows *r, double *at) {
  int d = r->d;
  size_t n = r->n;
  double own[PACKED_MOST * PACKED_MOST], a[PACKED_MOST * PACKED_MOST], step[PACKED_MOST];
  for (size_t i = 0; i < n; i++) {
    unpack_row(r->noise, n, i, d, own);
    for (int k = 0; k < d; k++) {
      step[k] = r->y[i + (size_t)k * n] - at[i + (size_t)k * n];
      for (int c = 0; c < d; c++)
        step[k] += (own[k + c * d] - r->common[k + c * d]) * r->score[i + (size_t)c * n];
    }
    resolvent(r, i, own, a);
    eliminate(a, step, d, 1);
    for (int k = 0; k < d; k++)
      at[i + (size_t)k * n] += step[k];
  }
}

size_t row_noise_moments(const noisy_rows *r, double eta, double *mean, double *variance) {
  int d = r->d;
  size_t n = r->n;
  double own[PACKED_MOST * PACKED_MOST], a[PACKED_MOST * PACKED_MOST];
  double slope[PACKED_MOST * PACKED_MOST];
  size_t floored = 0;
  for (size_t i = 0; i < n; i++) {
    unpack_row(r->noise, n, i, d, own);
    resolvent(r, i, own, a);
    memcpy(slope, own, (size_t)d * (size_t)d * sizeof(double));
    eliminate(a, slope, d, d); /* (1 - D J)^-1 N_i */
    for (int k = 0; k < d; k++) {
      double sum = r->y[i + (size_t)k * n], v = own[k + k * d];
      for (int c = 0; c < d; c++) {
        sum += eta * own[k + c * d] * r->score[i + (size_t)c * n];
        v += own[k + c * d] * r->dscore[i + (size_t)c * n] * slope[c + k * d];
      }
      floored += v < 0;
      mean[i + (size_t)k * n] = sum;
      variance[i + (size_t)k * n] = v < 0 ? 0 : v;
    }
  }
  return floored;
}
