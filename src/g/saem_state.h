/* Settings and state of SAEM (saem.h). */
#ifndef EBCRL_SAEM_STATE_H
#define EBCRL_SAEM_STATE_H

#include "batch_means.h"
#include "measurement.h"
#include "mechanism.h"
#include "sampler.h"
#include "shear.h"
#include "turn.h"

typedef struct {
  int burn_in;    /* at most: iterations with step 1, in which the random walks are tuned */
  int iterations; /* at most: after burn-in, averaged */
  double tol; /* Monte-Carlo error, in units of the sampling error, that is enough; 0: none is */
  int prior_given; /* mechanisms are given, not only A, sigma2 and z */
  int threads;
  void (*tick)(int iteration, double change, void *ctx); /* once an iteration; may not return */
  void *ctx;
} saem_settings;

/* Columns of the trace; the variances of the cells follow. objective: log density of x and the
 * draws, a row, at its maximum in sigma2 and variances, up to a constant. shift: saem_stop_shift().
 */
enum { SAEM_SIGMA2, SAEM_CHANGE, SAEM_ACCEPTANCE, SAEM_OBJECTIVE, SAEM_SHIFT, SAEM_VARIANCES };

/* Their names, in their order. */
extern const char *const saem_columns[SAEM_VARIANCES];

/* The chains, one a row. */
typedef struct {
  double *z, *projected;           /* n x d: the draws; X A */
  double *lagged;                  /* n x d: draws of some sweeps ago; NULL if they are not kept */
  double *walk_scale, *acceptance; /* d x n_domains */
  double *domain_rows;             /* n_domains */
} saem_chains;

/* What is averaged over iterations, in one vector: the statistics of the mechanisms, then sum
 * omega x z' (p x d) and sum omega z z' (d x d). */
typedef struct {
  size_t size, cross_at, second_at;
  double *value;
  double *average;        /* sum over the averaging iterations */
  double *turns, *shears; /* of the present draws: sums of turn.h and shear.h */
} saem_statistics;

/* What is watched: parameters in batches, over the averaging iterations (A, sigma2, objective,
 * variances) and over burn-in (see saem_stop_watch()). */
typedef struct {
  batch_means fitted, burn_in;
  double *first;  /* p x d: A of the start */
  double *probe;  /* 3 x d: values of parents at which effects are watched */
  double *values; /* one vector of `fitted` or `burn_in` */
} saem_record;

/* How far a run is. */
typedef struct {
  int iteration; /* done so far */
  int burnt_in;  /* iterations that burn-in took; 0: it lasts */
  int settled;   /* did it end because nothing moved? */
  int precise;   /* is the Monte-Carlo error small enough? */
} saem_place;

/* What is observed. */
typedef struct {
  const double *x; /* or its coordinates in a space that holds A */
  double features; /* of x: p, or more where x is coordinates */
  double outside;  /* sum of omega |x|^2 outside that space */
} saem_observations;

typedef struct saem_shard saem_shard;

typedef struct {
  saem_observations seen;
  const latent_sample *rows;
  saem_settings set;
  measurement *model;
  mechanisms *mech;
  const int *tied; /* d x d: as in shear_plan */
  latent_sampler sampler;
  saem_chains chain;
  saem_place at;
  double *trace; /* (burn_in + iterations) x (SAEM_VARIANCES + cells) */
  /* by saem_prepare() */
  saem_statistics stats;
  saem_record record;
  turn_plan turn;
  shear_plan shear;
  int turns, shears; /* is A turned? is it sheared? Neither at the end */
  row_shards shards;
  saem_shard *shard;
  double *scratch; /* 2 p x d */
} saem_state;

#endif
