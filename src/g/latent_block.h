/* A block of rows on its way through the sampler: draws of the latents, and what their prior and x
 * say of them. */
#ifndef EBCRL_LATENT_BLOCK_H
#define EBCRL_LATENT_BLOCK_H

#include "causal_prior.h"

/* d x BLOCK_ROWS arrays unless said otherwise. */
typedef struct {
  size_t start;
  int rows;
  int *domain;       /* BLOCK_ROWS, from 0 */
  int *state;        /* target states */
  double *z;         /* the draws */
  double *projected; /* A'x */
  int *label;        /* component of the noise */
  double *shift;     /* its mean, which is part of `mean`; NULL if the noise is Gaussian */
  double *mean;      /* E[z_j | parents, label] */
  double *precision; /* 1 / variance_jc, or 1 / variance of the component */
  double *centre;    /* E[z_j | all other latents but the children, x], at the node's last move */
  double *spread;    /* its standard deviation */
  double *effect, *change;       /* max_children x BLOCK_ROWS: of the edges out of the node */
  double *trial, *ratio, *taken; /* BLOCK_ROWS */
  double *accepted;              /* d x n_domains: random-walk moves accepted, added to */
  struct rng_move *move;
} latent_block;

latent_block latent_block_new(const causal_prior *prior, int n_domains, allocator alloc);
double latent_block_bytes(double d, double max_children, double n_domains);

#endif
