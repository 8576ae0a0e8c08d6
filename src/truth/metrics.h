/* Squared errors of latents: against a known truth, per domain (eq. 7.2), and estimated without. */
#ifndef EBCRL_METRICS_H
#define EBCRL_METRICS_H

#include <stddef.h>

/* Returns 0, or the 1-based number of the first row whose truth is all zero. */
size_t metrics_row_errors(const double *estimate, const double *truth, size_t n, int d,
                          const int *env, double *ratio, double *error, double *norm,
                          double *count);

/* Stein's unbiased estimate of the squared error of each row's posterior means, plus d sigma2:
 * |m - y|^2 + 2 sum_j s_j^2, y = z + noise of variance sigma2. As m = y + sigma2 score(y)
 * (Tweedie), its mean is 2 sigma2^2 times the Hyvarinen loss of that score, plus 2 d sigma2.
 *
 *   mean, sd, y   n x d   posterior means and standard deviations, projections A'x
 *   correction            added: for means of draws with Monte-Carlo errors e_j, sum_j e_j^2 (|m -
 *                         y|^2 is too large by that, s_j^2 too small by e_j^2)
 *   risk          n       out
 */
void metrics_stein_risks(const double *mean, const double *sd, const double *y, size_t n, int d,
                         double correction, double *risk);

#endif
