/* Rows: pseudo-latents (or draws) with the domain, the target states and the weight of each row. */
#ifndef EBCRL_ROWS_H
#define EBCRL_ROWS_H

#include "workspace.h"

/* Pseudo-latents and what belongs to their rows. */
typedef struct {
  const double *y; /* n x d */
  size_t n;
  int d, n_domains, n_states;
  const int *env;      /* n: domain of a row, from 1 */
  const int *targets;  /* n_domains x d: state of a node, from 0 */
  const double *omega; /* n_domains: row weight n w_e / N_e (Appendix C) */
  /* n x d: a score known beforehand, which the score model corrects; or NULL */
  const double *reference;
} latent_sample;

static inline int row_state(const latent_sample *s, size_t row, int node) {
  return s->targets[s->env[row] - 1 + (size_t)node * s->n_domains];
}

/* The node in its state, as graph_cell() numbers them. */
static inline int row_cell(const latent_sample *s, size_t row, int node) {
  return node * s->n_states + row_state(s, row, node);
}

static inline double row_weight(const latent_sample *s, size_t row) {
  return s->omega[s->env[row] - 1];
}

/* sum over rows of omega |x|^2, x n x p. */
double rows_square_sum(const double *x, int p, const latent_sample *s, int threads);

#endif
