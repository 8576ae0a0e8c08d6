/* Settings and state of SAEM (saem.h). */
#ifndef EBCRL_SAEM_STATE_H
#define EBCRL_SAEM_STATE_H

#include "batch_means.h"
#include "linalg.h"
#include "mechanism.h"
#include "sampler.h"
#include "shear.h"

/* orthogonal: columns are orthogonal and keep their lengths, which the scale of the latents makes
 * arbitrary. unit_columns: any A with columns of length 1. turned: A = W R, R a rotation and W
 * whatever the start has; turns alone move it, which leave the likelihood of x as it is. */
typedef enum {
  SAEM_ORTHOGONAL = 0,
  SAEM_UNIT_COLUMNS = 1,
  SAEM_FIXED = 2,
  SAEM_TURNED = 3
} saem_mixing;

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

#endif
