/* Sums of squared errors against a known truth, per domain (eq. 7.2). */
#ifndef EBCRL_METRICS_H
#define EBCRL_METRICS_H

#include <stddef.h>

/* Returns 0, or the 1-based number of the first row whose truth is all zero. */
size_t row_error_sums(const double *estimate, const double *truth, size_t n, int d, const int *env,
                      double *ratio, double *error, double *norm, double *count);

#endif
