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

#include "latent_block.h"
#include "rows.h"

#include <stdint.h>

typedef struct {
  causal_prior prior;
  const latent_sample *rows;
  const double *gram;       /* d x d: A'A */
  double sigma2;            /* of x */
  const double *walk_scale; /* d x n_domains, in units of the conditional's sd */
  const int *driver;        /* d x n_domains: does a child listen to the node? */
  uint64_t seed;
} latent_sampler;

/* Domains, states and A'x of rows start .. start + rows - 1; z, projected: n x d. */
void sampler_load(const latent_sampler *s, latent_block *b, size_t start, int rows, const double *z,
                  const double *projected);

/* Conditional means of the block's z under the prior, without labels. */
void sampler_refresh(const latent_sampler *s, latent_block *b);

/* One sweep; random numbers of stream `sweep`. */
void sampler_sweep(const latent_sampler *s, latent_block *b, uint32_t sweep);

/* Scale of a walk after its share of accepted moves in round t of the tuning: towards 0.4, in steps
 * that shrink as 1 / sqrt(t). */
double sampler_tuned(double walk_scale, double acceptance, int t);

/* z (n x d) = the block's. */
void sampler_store(const latent_block *b, size_t n, int d, double *z);

#endif
