/* Rows: pseudo-latents (or draws) with the domain, the target states and the weight of each row. */
#ifndef EBCRL_ROWS_H
#define EBCRL_ROWS_H

#include "workspace.h"

/* Pseudo-latents and what belongs to their rows. */
typedef struct {
  const double *y; /* n x d */
  size_t n;
  int d, n_domains;
  const int *env;      /* n: domain of a row, from 1 */
  const int *targets;  /* n_domains x d: 0 or 1 */
  const double *omega; /* n_domains: row weight n w_e / N_e (Appendix C) */
  /* n x d: a score known beforehand, which the score model corrects; or NULL */
  const double *reference;
} latent_sample;

static inline int row_state(const latent_sample *s, size_t row, int node) {
  return s->targets[s->env[row] - 1 + (size_t)node * s->n_domains];
}

static inline double row_weight(const latent_sample *s, size_t row) {
  return s->omega[s->env[row] - 1];
}

/* sum over rows of omega |x|^2, x n x p. */
double rows_square_sum(const double *x, int p, const latent_sample *s, int threads);

#endif
