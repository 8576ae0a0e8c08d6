#include "packed.h"

#include <math.h>
#include <string.h>

double packed_cholesky(double *a, int q) {
  double log_det = 0;
  for (int c = 0; c < q; c++) {
    double pivot = a[packed_at(q, c, c)];
    for (int k = 0; k < c; k++)
      pivot -= a[packed_at(q, c, k)] * a[packed_at(q, c, k)];
    if (!(pivot > 1e-12 * fabs(a[packed_at(q, c, c)])))
      return NAN;
    double root = a[packed_at(q, c, c)] = sqrt(pivot);
    log_det += 2 * log(root);
    for (int r = c + 1; r < q; r++) {
      double sum = a[packed_at(q, r, c)];
      for (int k = 0; k < c; k++)
        sum -= a[packed_at(q, r, k)] * a[packed_at(q, c, k)];
      a[packed_at(q, r, c)] = sum / root;
    }
  }
  return log_det;
}

void packed_solve(const double *l, int q, double *b) {
  for (int r = 0; r < q; r++) {
    for (int k = 0; k < r; k++)
      b[r] -= l[packed_at(q, r, k)] * b[k];
    b[r] /= l[packed_at(q, r, r)];
  }
  for (int r = q - 1; r >= 0; r--) {
    for (int k = r + 1; k < q; k++)
      b[r] -= l[packed_at(q, k, r)] * b[k];
    b[r] /= l[packed_at(q, r, r)];
  }
}

void packed_inverse(const double *l, int q, double *out) {
  double unit[PACKED_MOST];
  for (int c = 0; c < q; c++) {
    memset(unit, 0, (size_t)q * sizeof(double));
    unit[c] = 1;
    packed_solve(l, q, unit);
    for (int r = c; r < q; r++)
      out[packed_at(q, r, c)] = unit[r];
  }
}
