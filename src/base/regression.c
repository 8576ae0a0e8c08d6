#include "regression.h"

#include <math.h>
#include <stddef.h>

/* L'slopes = the last row of the factor. */
static void solve_slopes(const double *a, int k, double *slopes) {
  for (int i = k - 2; i >= 0; i--) {
    double sum = a[(k - 1) * k + i];
    for (int l = i + 1; l < k - 1; l++)
      sum -= a[l * k + i] * slopes[l];
    slopes[i] = sum / a[i * k + i];
  }
}

double regression_last(double *a, int k, regression_limit limit, double *slopes, int *left_out) {
  double v = 0;
  for (int i = 0; i < k; i++)
    for (int j = 0; j <= i; j++) {
      double sum = a[i * k + j];
      for (int l = 0; l < j; l++)
        sum -= a[i * k + l] * a[j * k + l];
      if (j < i) {
        a[i * k + j] = sum / a[j * k + j];
      } else if (i == k - 1) {
        v = sum;
      } else {
        int told = sum > limit.least * (limit.scale ? limit.scale[i] : 1);
        a[i * k + i] = told ? sqrt(sum) : INFINITY;
        if (left_out)
          *left_out += !told;
      }
    }
  if (slopes)
    solve_slopes(a, k, slopes);
  return v;
}
