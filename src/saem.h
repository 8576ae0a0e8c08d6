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
 *   turning              3 d x d: of t_ab = u_a z_b - u_b z_a, u the prior's gradient in z, sum
 *                        omega t; sum omega t^2, the information on a turn in the plane of a and b;
 *                        and sum omega t (sum over planes of t w), w = stiffest
 *
 * The update of A from x z' alone crawls where the noise is small, because the draws stay close to
 * A'x whatever A. So a second update turns A and the latents together, A R and R'z, which leaves
 * A z alone and is judged by the prior (parameter expansion; Liu, Rubin and Wu 1998): one scoring
 * step per plane, shortened where planes share information. Where columns differ in length, A = O
 * D, it is O and D z that turn. General columns of A are sheared instead (shear.h). They are held
 * for the first iterations, until the chains have forgotten the start's latents, whose noise is
 * large where columns are correlated.
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

#include "batch_means.h"
#include "linalg.h"
#include "mechanism.h"
#include "sampler.h"
#include "shear.h"

/* orthogonal: columns are orthogonal and keep their lengths, which the scale of the latents makes
 * arbitrary. unit_columns: any A with columns of length 1. */
typedef enum { SAEM_ORTHOGONAL = 0, SAEM_UNIT_COLUMNS = 1, SAEM_FIXED = 2 } saem_mixing;

typedef struct {
  saem_mixing mixing;
  int learn_sigma2;
  int burn_in;    /* at most: iterations with step 1, in which the random walks are tuned */
  int iterations; /* at most: after burn-in, averaged */
  double tol; /* Monte-Carlo error, in units of the sampling error, that is enough; 0: none is */
  int prior_given; /* mechanisms are given, not only A, sigma2 and z */
  int threads;
  void (*tick)(int iteration, double change, void *ctx); /* once an iteration; may not return */
  void *ctx;
} saem_settings;

/* Columns of the trace; the variances of the 2 d cells follow. objective: log density of x and the
 * draws, a row, at its maximum in sigma2 and variances, up to a constant. shift: saem_shift(). */
enum { SAEM_SIGMA2, SAEM_CHANGE, SAEM_ACCEPTANCE, SAEM_OBJECTIVE, SAEM_SHIFT, SAEM_VARIANCES };

typedef struct saem_shard saem_shard;

typedef struct {
  const double *x;
  int p;
  const latent_sample *rows;
  saem_settings set;
  mechanisms *mech;
  const int *tied; /* d x d: as in shear_plan */
  latent_sampler sampler;
  double *mixing, sigma2;
  double *z, *projected;
  double *walk_scale, *acceptance; /* d x n_domains */
  double *trace;                   /* (burn_in + iterations) x (SAEM_VARIANCES + 2 d) */
  int sigma2_floored, rank_deficient;
  int iteration; /* done so far */
  int burnt_in;  /* iterations that burn-in took; 0: it lasts */
  int settled;   /* did it end because nothing moved? */
  int precise;   /* is the Monte-Carlo error small enough? */
  /* by saem_prepare() */
  row_shards shards;
  saem_shard *shard;
  size_t n_statistics;
  double *statistics;
  double *turning;  /* 3 d x d */
  double *stiffest; /* d x d: turns of all planes together, see safe_share(); kept between runs */
  double *rotation; /* d x d */
  int turns;        /* is A turned? Not if its columns are general or held */
  int shears;       /* is it sheared? */
  shear_plan shear;
  double *shear_sum;
  double *inverse;     /* d x d: by which A is turned or sheared */
  int *pivot;          /* d */
  double *gram;        /* d x d: A'A */
  double *length;      /* d: of the columns of A */
  double *domain_rows; /* n_domains */
  polar_work polar;
  double *scratch;     /* 2 p x d */
  double *average;     /* n_statistics: sum over the averaging iterations */
  batch_means fitted;  /* over the averaging iterations: A, sigma2, objective, variances */
  batch_means watched; /* over burn-in: see saem_watch() */
  double *first;       /* p x d: A of the start */
  double *probe;       /* 3 x d: values of parents at which effects are watched */
  double *values;      /* one vector of `fitted` or `watched` */
  double sum_sq, sigma2_floor;
} saem_state;

/* Allocates the rest; what stands above saem_prepare() is the caller's, but for the sampler, of
 * which it sets the seed only. */
void saem_prepare(saem_state *s, allocator alloc);

/* Latents that can be sheared: with more the step would need too many derivatives. */
enum { MAX_SHEARED = 20 };

/* Bytes that saem_prepare() takes. n_derivatives: of the shears, 0 where there are none. */
double saem_work_bytes(double n, double p, double d, double n_domains, double n_edges,
                       double n_statistics, double n_derivatives);

/* Iterates. To go on from an earlier run, with iteration > 0, the caller restores all that stands
 * above saem_prepare(), the mechanisms, statistics, average, `stiffest` and `fitted`. */
int saem_run(saem_state *s);

/* Mechanisms, A and sigma2 that maximise at the mean of the statistics; the state cannot go on from
 * there. Without averaging iterations nothing changes. */
int saem_finish(saem_state *s);

/* saem_stop.c: when to stop. */

size_t saem_fitted_length(const saem_state *s);
size_t saem_watched_length(const saem_state *s);

/* Takes the present parameters into `watched`, or into `fitted`. */
void saem_watch(saem_state *s);
void saem_keep(saem_state *s);

/* Shift of the parameters over the last two thirds of burn-in, from the mean of one third to that
 * of the next, over its Monte-Carlo error and the standard deviation of the parameters over
 * iterations together (root mean squares; the largest of A, sigma2, variances and mechanisms). NaN
 * while it cannot be told. */
double saem_shift(const saem_state *s);

/* Squared Monte-Carlo errors of what saem_keep() takes. */
void saem_errors(const saem_state *s, double *squared);

/* Monte-Carlo over sampling error, root mean squares, of A and of log variances. */
void saem_precision(const saem_state *s, double ratio[2]);

double saem_objective(const saem_state *s);

#endif
