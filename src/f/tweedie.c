#include "tweedie.h"

size_t tweedie_moments(const double *y, const double *score, const double *dscore, int rows,
                       double scale, double sigma2, double eta, double *mean, double *variance) {
  size_t floored = 0;
  for (int i = 0; i < rows; i++) {
    double v = sigma2 + sigma2 * sigma2 * dscore[i];
    floored += v < 0;
    mean[i] = (y[i] + eta * sigma2 * score[i]) / scale;
    variance[i] = v < 0 ? 0 : v / (scale * scale);
  }
  return floored;
}
