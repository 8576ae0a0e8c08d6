/* CRL g-modeling (Section 6): the interventional prior (6.2) with additive spline mechanisms,
 * fitted by stochastic-approximation EM (Delyon, Lavielle and Moulines 1999).
 *
 *   x           n x p    observations, rows are samples
 *   mixing      p x d    A
 *   projected   n x d    X A
 *   z           n x d    one draw of the latents: the state of the chains
 *   statistics           of the mechanisms (mechanism.h), then sum omega x z' (p x d) and
 *                        sum omega z z' (d x d), in one vector: what is averaged over iterations
 *   turning              d x d: sum omega u z', u the prior's gradient in z; and d x d: sum omega
 *                        (u_a z_b - u_b z_a)^2, the information on a turn in the plane of a and b
 *
 * The update of A from x z' alone crawls where the noise is small, because the draws stay close to
 * A'x whatever A. So a second update turns A and the latents together, A R and R'z, which leaves
 * A z alone and is judged by the prior (parameter expansion; Liu, Rubin and Wu 1998): one scoring
 * step per plane, of the size of the stochastic approximation's step.
 */
#ifndef EBCRL_SAEM_H
#define EBCRL_SAEM_H

#include "linalg.h"
#include "mechanism.h"

/* orthogonal: columns are orthogonal and keep their lengths, which the scale of the latents makes
 * arbitrary. unit_columns: any A with columns of length 1. */
typedef enum { SAEM_ORTHOGONAL = 0, SAEM_UNIT_COLUMNS = 1, SAEM_FIXED = 2 } saem_mixing;

typedef struct {
  saem_mixing mixing;
  int learn_sigma2;
  int burn_in;     /* iterations with step 1, in which the random walks are tuned */
  int iterations;  /* after burn-in, with step 1 / (t - burn_in) */
  int prior_given; /* mechanisms are given, not only A, sigma2 and z */
  int threads;
  void (*tick)(int iteration, double change, void *ctx); /* once an iteration; may not return */
  void *ctx;
} saem_settings;

/* Columns of the trace; the variances of the 2 d cells follow. */
enum { SAEM_SIGMA2, SAEM_CHANGE, SAEM_ACCEPTANCE, SAEM_VARIANCES };

typedef struct saem_shard saem_shard;

typedef struct {
  const double *x;
  int p;
  const latent_sample *rows;
  saem_settings set;
  mechanisms *mech;
  latent_sampler sampler;
  double *mixing, sigma2;
  double *z, *projected;
  double *walk_scale, *acceptance; /* d x n_domains */
  double *trace;                   /* (burn_in + iterations) x (SAEM_VARIANCES + 2 d) */
  int sigma2_floored, rank_deficient;
  double drift; /* relative change of A over the second half of the averaging iterations, if any */
  /* by saem_prepare() */
  row_shards shards;
  saem_shard *shard;
  size_t n_statistics;
  double *statistics;
  double *turning;  /* 2 d x d */
  double *rotation; /* d x d */
  int turns;        /* is the second update made? Not for columns of unequal length, nor held A */
  double *gram;     /* d x d: A'A */
  double *length;   /* d: of the columns of A */
  double *domain_rows; /* n_domains */
  polar_work polar;
  double *scratch; /* 2 p x d */
  double *halfway; /* p x d: A at half of the averaging iterations */
  double sum_sq, sigma2_floor;
} saem_state;

/* Allocates the rest; what stands above saem_prepare() is the caller's, but for the sampler, of
 * which it sets the seed only. */
void saem_prepare(saem_state *s, allocator alloc);

/* Bytes that saem_prepare() takes. */
double saem_work_bytes(double n, double p, double d, double n_domains, double n_statistics);

/* Fits mechanisms, A and sigma2. */
int saem_run(saem_state *s);

#endif
