/* Metropolis-within-Gibbs draws of the latents given the observations.
 *
 *   z_j | z_pa(j) ~ N(constant_jc + sum_k effect_kjc(z_k), variance_jc),  c the target state of j
 *   x | z         ~ N(A z, sigma2 I)
 *
 * The noise may be a mixture instead (noise.h): then each sweep first draws the labels given z, and
 * goes on with the Gaussians they name.
 *
 * All that x says about z is A'x and A'A. Rows are independent, and are drawn a block at a time.
 * A sweep goes through the nodes, parents first, and moves each twice:
 *   1. to a draw from its conditional given its parents and x, which is Gaussian; the children's
 *      densities decide on acceptance (always yes where no child listens);
 *   2. by a random walk with a scale of its own for each (node, domain).
 */
#ifndef EBCRL_SAMPLER_H
#define EBCRL_SAMPLER_H

#include "causal_graph.h"
#include "noise.h"
#include "rng.h"
#include "score.h"

/* Cells, here as elsewhere: node j in target state c at 2 j + c. */
typedef struct {
  causal_graph graph;
  /* out[i] = effect of the edge's parent at z[i], its child being in state[i] */
  void (*effect)(const void *context, int edge, const int *state, const double *z, int rows,
                 double *out);
  const void *context;
  const double *constant, *variance; /* 2 d */
  const int *listens;                /* 2 d: do parents have an effect on the cell? */
  const noise_mixture *noise;        /* NULL: Gaussian with `variance` */
} causal_prior;

typedef struct {
  causal_prior prior;
  const latent_sample *rows;
  const double *gram;       /* d x d: A'A */
  double sigma2;            /* of x */
  const double *walk_scale; /* d x n_domains, in units of the conditional's sd */
  const int *driver;        /* d x n_domains: does a child listen to the node? */
  uint64_t seed;
} latent_sampler;

/* A block of rows; d x BLOCK_ROWS arrays unless said otherwise. */
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
} sampler_block;

sampler_block sampler_block_new(const causal_prior *prior, int n_domains, allocator alloc);
double sampler_block_bytes(double d, double max_children, double n_domains);

/* driver[d x n_domains] for a graph, targets and the cells that listen. */
void find_drivers(const causal_prior *prior, const int *targets, int n_domains, int *driver);

/* Domains, states and A'x of rows start .. start + rows - 1; z, projected: n x d. */
void sampler_load(const latent_sampler *s, sampler_block *b, size_t start, int rows,
                  const double *z, const double *projected);

/* Conditional means of the block's z under the prior, without labels. */
void sampler_refresh(const latent_sampler *s, sampler_block *b);

/* One sweep; random numbers of stream `sweep`. */
void sampler_sweep(const latent_sampler *s, sampler_block *b, uint32_t sweep);

/* Scale of a walk after its share of accepted moves in round t of the tuning: towards 0.4, in steps
 * that shrink as 1 / sqrt(t). */
double sampler_tuned(double walk_scale, double acceptance, int t);

/* z (n x d) = the block's. */
void sampler_store(const sampler_block *b, size_t n, int d, double *z);

#endif
