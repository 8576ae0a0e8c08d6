/* CRL g-modeling (Section 6): the interventional prior (6.2) with additive spline mechanisms,
 * fitted by stochastic-approximation EM (Delyon, Lavielle and Moulines 1999), averaged (Polyak and
 * Juditsky 1992).
 *
 *   x           n x p    observations, rows are samples
 *   mixing      p x d    A
 *   projected   n x d    X A
 *   z           n x d    one draw of the latents: the state of the chains
 *   statistics           of the mechanisms (mechanism.h), then sum omega x z' (p x d) and
 *                        sum omega z z' (d x d), in one vector: what is averaged over iterations
 *
 * The update of A from x z' alone crawls where the noise is small, because the draws stay close to
 * A'x whatever A. So a second update turns A and the latents together (turn.h). General columns of
 * A are sheared instead (shear.h). They are held for the first iterations, until the chains have
 * forgotten the start's latents, whose noise is large where columns are correlated.
 *
 * Burn-in goes on until the parameters move no more than their noise; after its first iterations,
 * noise variances of cells with few rows take short steps (mechanism.c). Then the step is constant,
 * and the fit is the maximum at the mean of the statistics over iterations: where EM is slow (its
 * rate is the share of missing information, near 1 for variances below sigma2) a step of 1/t would
 * hardly forget the noise that it began with. The parameters are then a stationary sequence, whose
 * batch means tell the Monte-Carlo error.
 */
#ifndef EBCRL_SAEM_H
#define EBCRL_SAEM_H

#include "saem_state.h"

/* Allocates the rest; what stands above saem_prepare() is the caller's, but for the sampler, of
 * which it sets the seed only. */
void saem_prepare(saem_state *s, allocator alloc);

/* Bytes that saem_prepare() takes. n_derivatives: of the shears, 0 where there are none. */
double saem_work_bytes(double n, double p, double d, double n_domains, double n_edges,
                       double n_statistics, double n_derivatives);

/* Iterates. To go on from an earlier run, with iteration > 0, the caller restores all that stands
 * above saem_prepare(), the mechanisms, statistics, average, `stiffest` and `fitted`. */
int saem_run(saem_state *s);

/* Mechanisms, A and sigma2 that maximise at the mean of the statistics; the state cannot go on from
 * there. Without averaging iterations nothing changes. */
int saem_finish(saem_state *s);

#endif
