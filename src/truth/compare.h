/* Held-out score matching: the loss of a row of x, means over domains. */
#ifndef EBCRL_COMPARE_H
#define EBCRL_COMPARE_H

#include <stddef.h>

typedef struct {
  const double *x, *y, *score, *divergence; /* n x p, n x d, n x d, n */
  const double *length, *noise; /* Lambda^2, Lambda^-2 (d x d) where y = Lambda^-1 O'x, or NULL */
  size_t n;
  int p, d;
  double sigma2, eta;
} scored_rows;

/* Score-matching loss of rows under the density of x that the model implies, and its part in the
 * space of the latents. */
void compare_row_losses(const scored_rows *r, double *loss, double *latent);

/* Weighted mean over domains of each column of value, and its standard error. */
void compare_domain_means(const double *value, size_t n, int columns, const double *reference,
                          const int *env, const double *weight, int n_domains, double *work,
                          double *mean, double *se);

#endif
