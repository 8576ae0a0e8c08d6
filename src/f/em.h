/* Algorithm 1: EM f-modeling with causal score matching.
 *
 *   x        n x p         observations, rows are samples
 *   O, D     p x d, d      mixing A = O D, O orthonormal
 *   y        n x d         pseudo-latents X O
 *   latents  n x d         posterior means; sd their standard deviations
 *   cross    p x d         sum omega x z'
 *   second   d             sum omega E z_j^2
 *
 * Where columns of A are correlated (psd.h), A = O Lambda: D is the d x d Lambda, y is
 * X O Lambda^-1, and second is d x d, sum omega E zz'.
 */
#ifndef EBCRL_EM_H
#define EBCRL_EM_H

#include "accelerate.h"
#include "linalg.h"
#include "measurement.h"
#include "psd.h"
#include "reference.h"
#include "score.h"
#include "signs.h"
#include "smoothing.h"

typedef struct {
  mixing_kind mixing;
  int learn_sigma2;
  double eta;       /* damping of Tweedie's formula (4.4) */
  double tol;       /* stop when the relative distance still to go is estimated below */
  int max_iter;     /* of all, those that em_fit_state starts with included */
  int accelerate;   /* only where D or Lambda does not move */
  const int *signs; /* d: by which latents are turned at the end, see signs.h; NULL: not at all */
  void (*tick)(int iteration, double change, void *ctx); /* once an iteration; may not return */
  void *ctx;
} em_settings;

/* What is wanted of the E-step besides the sums; each n x d, the divergence n, or NULL. */
typedef struct {
  double *latents, *sd, *score, *dscore;
  double *divergence; /* of the score of O'x */
} estep_output;

typedef struct {
  double *cross, *second; /* p x d; d, or d x d with correlated columns */
  double *loss;           /* 2 d: by cell */
  double moved, norm;     /* squared change of the latents and their squared norm before */
  size_t floored, outside;
} posterior_sums;

/* CHANGE: relative size of the EM's step in A and sigma2, and of the move of the latents since the
 * row before; REMAINING: the largest of their distances still to go; STEP: step_kind. */
enum {
  TRACE_SIGMA2,
  TRACE_LOSS,
  TRACE_CHANGE_MIXING,
  TRACE_CHANGE_SIGMA2,
  TRACE_CHANGE_LATENTS,
  TRACE_REMAINING,
  TRACE_STEP,
  TRACE_FLOORED,
  TRACE_COLUMNS
};

/* Changes in the order of the trace. */
enum { CHANGE_MIXING, CHANGE_SIGMA2, CHANGE_LATENTS, N_CHANGES };

typedef struct {
  const double *x;
  int p;
  latent_sample sample; /* y, and the rows' domains, targets and weights */
  score_model *score;
  smoothing *smoothing; /* NULL: lambda and eta are given */
  int map_changed;      /* the last E-step chose lambda or eta anew */
  em_settings set;
  double *orthonormal, *scale, sigma2;
  psd_model *psd;                /* NULL: orthogonal columns */
  gaussian_reference *reference; /* NULL: none */
  double *y;
  estep_output out;
  posterior_sums sums;                  /* totals */
  posterior_sums *shard;                /* one a shard */
  double *z_block;                      /* shards x d x X_ROWS: weighted latents */
  double *s_block, *ds_block, *v_block; /* shards x d x BLOCK_ROWS */
  psd_scratch *psd_shard;               /* one a shard, with correlated columns */
  int *psd_floored;                     /* shards x domains: negative eigenvalues of rows */
  double sum_sq, sigma2_floor;
  double mean_square; /* of x, weighted */
  double explained;   /* sum of omega E|A z|^2 in units of that of |x|^2 */
  polar_work polar;
  double *scratch; /* 2 p x d */
  accelerator ahead;
  double *point, *image, *goal; /* what the EM map moves, as a vector: before, after, where next */
  int *sign;                    /* d */
  double *sign_work;            /* 3 n_domains */
  double *trace;                /* max_iter x TRACE_COLUMNS */
  int iterations;               /* done, the trace's first rows; not 0 where a fit goes on */
  int same_map;                 /* row of the trace since which the EM map is the same */
  double rate[N_CHANGES];       /* by which changes shrink; see plain_rate() */
  double change_latents;        /* of the last E-step; NAN: no E-step before it */
  int converged, sigma2_floored, rank_deficient, scale_floored, rejected;
} em_fit_state;

/* Allocates the work arrays; x, p, sample, score, smoothing, set, orthonormal, scale,
 * sigma2, y, out, trace, iterations, change_latents, psd (empty) and reference are the caller's. */
int em_prepare(em_fit_state *em, allocator alloc);

/* Bytes that em_prepare allocates, and psd_model_new where columns may be correlated. */
double em_work_bytes(double n, double p, double d, int correlated);

/* Algorithm 1, then one E-step under the final A and sigma2. */
int em_run(em_fit_state *em);

/* The last EM step: turn (d x d) = O'O of before and after; growth (d) = that of log D. */
void em_last_step(const em_fit_state *em, double *turn, double *growth);

/* y = X O. */
void pseudo_latents(em_fit_state *em);

/* The reference of target sets from n_known on, from its structural causal model, and its score at
 * the pseudo-latents. */
int complete_reference(em_fit_state *em, int n_known);

/* The E-step's pass over the rows, under the fitted score. first: no previous latents to compare.
 */
void posterior_pass(em_fit_state *em, int first);

#endif
