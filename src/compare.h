/* Held-out score matching: folds of rows, the loss of a row of x, means over domains. */
#ifndef EBCRL_COMPARE_H
#define EBCRL_COMPARE_H

#include <stddef.h>
#include <stdint.h>

/* fold[i], from 1: the rows of every domain, in random order, are dealt out in turn, so that folds
 * have equal shares of every domain, within one row. order: n, n_domains + 1: work arrays. */
void deal_folds(const int *env, size_t n, int n_domains, int n_folds, uint64_t seed, size_t *order,
                size_t *first, int *fold);

typedef struct {
  const double *x, *y, *score, *divergence; /* n x p, n x d, n x d, n */
  const double *length, *noise; /* Lambda^2, Lambda^-2 (d x d) where y = Lambda^-1 O'x, or NULL */
  size_t n;
  int p, d;
  double sigma2, eta;
} scored_rows;

/* Score-matching loss of rows under the density of x that the model implies, and its part in the
 * space of the latents. */
void row_losses(const scored_rows *r, double *loss, double *latent);

/* Weighted mean over domains of each column of value, and its standard error. */
void domain_means(const double *value, size_t n, int columns, const double *reference,
                  const int *env, const double *weight, int n_domains, double *work, double *mean,
                  double *se);

#endif
