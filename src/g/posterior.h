/* Posterior of the latents with all parameters held: moments, quantiles and draws from chains of
 * sweeps, row by row. A latent that no other listens to enters the moments by its conditional mean
 * and variance (Rao-Blackwell). */
#ifndef EBCRL_POSTERIOR_H
#define EBCRL_POSTERIOR_H

#include "sampler.h"

typedef struct {
  int warm_up, draws; /* sweeps left out, and counted */
  uint32_t stream;    /* random numbers: streams stream + 1, ... */
  int n_probs, keep, threads;
  const double *probs;     /* n_probs */
  void (*poll)(void);      /* called between batches of rows; may not return */
  const double *projected; /* n x d: A'x */
  double *z;               /* n x d: the chains, from where they are to where they end */
  double *mean, *sd;       /* n x d */
  double *quantile;        /* n x d x n_probs */
  double *kept;            /* n x d x keep: draws, evenly spaced */
  double *error;           /* d: Monte-Carlo standard error of a mean, over all rows */
} latent_posterior;

/* Tunes the random walks (walk_scale, d x n_domains, the sampler's own) over `rounds` sweeps of all
 * rows, streams 1, ..., rounds; the chains move on. */
void posterior_tune(const latent_sampler *s, const latent_posterior *out, int rounds,
                    double *walk_scale, allocator alloc);

void posterior_draws(const latent_sampler *s, const latent_posterior *out, allocator alloc);

double posterior_bytes(double n, double d, double n_domains, double draws, double threads);

#endif
