#include "linalg.h"

#include "vectorize.h"

#include <math.h>
#include <string.h>

/* y_j += x_0 b_0j + ... + x_3 b_3j for four columns j; four columns of x a call. */
WIDE_VECTORS static void add_four_by_four(const double *restrict x, size_t ldx, int rows,
                                          const double *restrict b, size_t ldb, double *restrict y,
                                          size_t ldy) {
  const double *x0 = x, *x1 = x + ldx, *x2 = x + 2 * ldx, *x3 = x + 3 * ldx;
  double *y0 = y, *y1 = y + ldy, *y2 = y + 2 * ldy, *y3 = y + 3 * ldy;
  const double *b0 = b, *b1 = b + ldb, *b2 = b + 2 * ldb, *b3 = b + 3 * ldb;
  SIMD for (int i = 0; i < rows; i++) {
    double v0 = x0[i], v1 = x1[i], v2 = x2[i], v3 = x3[i];
    y0[i] += v0 * b0[0] + v1 * b0[1] + v2 * b0[2] + v3 * b0[3];
    y1[i] += v0 * b1[0] + v1 * b1[1] + v2 * b1[2] + v3 * b1[3];
    y2[i] += v0 * b2[0] + v1 * b2[1] + v2 * b2[2] + v3 * b2[3];
    y3[i] += v0 * b3[0] + v1 * b3[1] + v2 * b3[2] + v3 * b3[3];
  }
}

WIDE_VECTORS static void add_scaled(const double *restrict x, double b, int rows,
                                    double *restrict y) {
  SIMD for (int i = 0; i < rows; i++) y[i] += b * x[i];
}

void linalg_rows_times(const double *x, size_t n, int p, size_t start, int rows, const double *b,
                       int d, double *out, size_t ld) {
  int p4 = p - p % 4, d4 = d - d % 4;
  for (int j = 0; j < d; j++)
    memset(out + (size_t)j * ld, 0, (size_t)rows * sizeof(double));
  for (int k = 0; k < p4; k += 4) {
    const double *xk = x + (size_t)k * n + start;
    for (int j = 0; j < d4; j += 4)
      add_four_by_four(xk, n, rows, b + (size_t)j * (size_t)p + k, (size_t)p, out + (size_t)j * ld,
                       ld);
    for (int j = d4; j < d; j++)
      for (int r = 0; r < 4; r++)
        add_scaled(xk + (size_t)r * n, b[(size_t)j * (size_t)p + (size_t)(k + r)], rows,
                   out + (size_t)j * ld);
  }
  for (int k = p4; k < p; k++)
    for (int j = 0; j < d; j++)
      add_scaled(x + (size_t)k * n + start, b[(size_t)j * (size_t)p + (size_t)k], rows,
                 out + (size_t)j * ld);
}

/* Inner products of two columns of x with four columns of z; sum is p x d, ld = p. */
WIDE_VECTORS static void two_by_four_products(const double *restrict x, size_t ldx,
                                              const double *restrict z, int rows, double *sum,
                                              size_t ld) {
  const double *x0 = x, *x1 = x + ldx;
  const double *z0 = z, *z1 = z + X_ROWS, *z2 = z + 2 * X_ROWS, *z3 = z + 3 * X_ROWS;
  double a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
#ifdef _OPENMP
#pragma omp simd reduction(+ : a0, a1, a2, a3, b0, b1, b2, b3)
#endif
  for (int i = 0; i < rows; i++) {
    double u = x0[i], v = x1[i];
    a0 += u * z0[i];
    a1 += u * z1[i];
    a2 += u * z2[i];
    a3 += u * z3[i];
    b0 += v * z0[i];
    b1 += v * z1[i];
    b2 += v * z2[i];
    b3 += v * z3[i];
  }
  sum[0] += a0;
  sum[ld] += a1;
  sum[2 * ld] += a2;
  sum[3 * ld] += a3;
  sum[1] += b0;
  sum[ld + 1] += b1;
  sum[2 * ld + 1] += b2;
  sum[3 * ld + 1] += b3;
}

WIDE_VECTORS static double product(const double *restrict x, const double *restrict z, int rows) {
  double a = 0;
#ifdef _OPENMP
#pragma omp simd reduction(+ : a)
#endif
  for (int i = 0; i < rows; i++)
    a += x[i] * z[i];
  return a;
}

void linalg_rows_cross(const double *x, size_t n, int p, size_t start, int rows, const double *z,
                       int d, double *sum) {
  int p2 = p - p % 2, d4 = d - d % 4;
  size_t ld = (size_t)p;
  for (int k = 0; k < p; k++) {
    const double *xk = x + (size_t)k * n + start;
    if (k < p2 && k % 2 == 0)
      for (int j = 0; j < d4; j += 4)
        two_by_four_products(xk, n, z + (size_t)j * X_ROWS, rows, sum + (size_t)j * ld + k, ld);
    for (int j = k < p2 ? d4 : 0; j < d; j++)
      sum[(size_t)j * ld + (size_t)k] += product(xk, z + (size_t)j * X_ROWS, rows);
  }
}

double linalg_dot(const double *a, const double *b, size_t size) {
  double sum = 0;
  for (size_t i = 0; i < size; i++)
    sum += a[i] * b[i];
  return sum;
}

static void normalize_column(double *v, int d) {
  double length = sqrt(linalg_dot(v, v, (size_t)d));
  for (int i = 0; i < d; i++)
    v[i] /= length;
}

void linalg_orthonormalize(double *a, int d) {
  for (int j = 0; j < d; j++) {
    double *v = a + (size_t)j * (size_t)d;
    for (int pass = 0; pass < 2; pass++)
      for (int k = 0; k < j; k++) {
        const double *u = a + (size_t)k * (size_t)d;
        double along = linalg_dot(u, v, (size_t)d);
        for (int i = 0; i < d; i++)
          v[i] -= along * u[i];
      }
    normalize_column(v, d);
  }
}

void linalg_normalize(double *a, int d) {
  for (int j = 0; j < d; j++)
    normalize_column(a + (size_t)j * (size_t)d, d);
}

int linalg_finite(const double *v, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (!isfinite(v[i]))
      return 0;
  return 1;
}
