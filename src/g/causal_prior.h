/* A prior of the latents that follows the graph, as the sampler sees it: given its parents a latent
 * is Gaussian, or a mixture of Gaussians, around a constant and the sum of its parents' effects. */
#ifndef EBCRL_CAUSAL_PRIOR_H
#define EBCRL_CAUSAL_PRIOR_H

#include "graph.h"
#include "noise.h"

typedef struct {
  causal_graph graph;
  /* out[i] = effect of the edge's parent at z[i], its child being in state[i] */
  void (*effect)(const void *context, int edge, const int *state, const double *z, int rows,
                 double *out);
  const void *context;
  const double *constant, *variance; /* by cell */
  const int *listens;                /* by cell: do parents have an effect on it? */
  const noise_mixture *noise;        /* NULL: Gaussian with `variance` */
} causal_prior;

/* driver[d x n_domains] for a graph, targets and the cells that listen. */
void causal_prior_drivers(const causal_prior *prior, const int *targets, int n_domains,
                          int *driver);

#endif
