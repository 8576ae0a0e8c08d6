/* The E-step of Algorithm 1: pseudo-latents, and posterior moments of the latents under the fitted
 * score.
 *
 *   x        n x p     observations, rows are samples
 *   y        n x d     pseudo-latents, the projections of measurement.h
 *   latents  n x d     posterior means; sd their standard deviations
 *   cross    p x d     sum omega x z'
 *   second             sum omega E z_j^2 (d), or sum omega E zz' (d x d): measurement_second_size()
 */
#ifndef EBCRL_ESTEP_H
#define EBCRL_ESTEP_H

#include "measurement.h"
#include "reference.h"
#include "score.h"

/* What is wanted of the E-step besides the sums; each n x d, the divergence n, or NULL. */
typedef struct {
  double *latents, *sd, *score, *dscore;
  double *divergence; /* of the score of O'x */
} estep_output;

typedef struct {
  double *cross, *second;
  double *loss;       /* by cell */
  double moved, norm; /* squared change of the latents and their squared norm before */
  size_t floored, outside;
} posterior_sums;

/* One a shard. */
typedef struct {
  measurement_task moments;
  posterior_sums sums;
  double *z;    /* d x X_ROWS: weighted latents */
  int *floored; /* n_domains: negative eigenvalues of rows */
} estep_task;

typedef struct {
  const double *x; /* or its coordinates in a space that holds A */
  int p;
  double features; /* of x: p, or more where x is coordinates */
  double outside;  /* sum of omega |x|^2 outside that space */
  latent_sample rows; /* y, and the rows' domains, targets and weights */
  score_model *score;
  gaussian_reference *reference; /* NULL: none */
  measurement *model;
  double eta; /* damping of Tweedie's formula (4.4) */
  double *y;
  estep_output out;
  estep_task *task;
  posterior_sums sums; /* totals */
} estep_state;

/* Allocates the work arrays; all but task, sums and y of the rows is the caller's. */
void estep_prepare(estep_state *e, allocator alloc);

double estep_doubles(double n, double p, double d, double n_domains, int general);

/* y = x P. */
void estep_project(estep_state *e);

/* The pass over the rows, under the fitted score. first: no previous latents to compare. */
void estep_moments(estep_state *e, int first);

/* The reference of target sets from n_known on, from its structural causal model, and its score at
 * the pseudo-latents. */
int estep_complete_reference(estep_state *e, int n_known);

#endif
