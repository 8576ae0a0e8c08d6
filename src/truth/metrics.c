/* Sums of squared errors against a known truth, per domain (eq. 7.2), and estimated without one.
 *
 *   name      shape    content
 *   estimate  n x d    in: latents, column-major
 *   truth     n x d    in: true latents
 *   env       n        in: domain of each row, 1..M
 *   ratio     M        out: sum over rows of |zhat - z|^2 / |z|^2
 *   error     M        out: sum over rows of |zhat - z|^2
 *   norm      M        out: sum over rows of |z|^2
 *   count     M        out: rows
 */
#include "metrics.h"

size_t metrics_row_errors(const double *estimate, const double *truth, size_t n, int d,
                          const int *env, double *ratio, double *error, double *norm,
                          double *count) {
  for (size_t i = 0; i < n; i++) {
    double e2 = 0.0, z2 = 0.0;
    for (int j = 0; j < d; j++) {
      const double z = truth[i + n * j], e = estimate[i + n * j] - z;
      e2 += e * e;
      z2 += z * z;
    }
    if (z2 == 0.0)
      return i + 1;
    const int domain = env[i] - 1;
    ratio[domain] += e2 / z2;
    error[domain] += e2;
    norm[domain] += z2;
    count[domain] += 1.0;
  }
  return 0;
}

void metrics_stein_risks(const double *mean, const double *sd, const double *y, size_t n, int d,
                         double correction, double *risk) {
  for (size_t i = 0; i < n; i++)
    risk[i] = correction;
  for (int j = 0; j < d; j++)
    for (size_t i = 0; i < n; i++) {
      size_t at = i + n * (size_t)j;
      double gap = mean[at] - y[at];
      risk[i] += gap * gap + 2 * sd[at] * sd[at];
    }
}
