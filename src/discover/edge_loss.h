/* Log-likelihood that a latent loses without one of its parents, by draws.
 *
 * With draws z_s, s = 1, ..., S of a row's latents from their posterior under a fitted prior p,
 *   log p'(y) - log p(y) = log E[p'(z) / p(z) | y],
 * and where p' has another mechanism of one latent j only, the ratio is that of j given its
 * parents. The mechanism without the parent is fitted by EM with weights p'(z_s) / p(z_s),
 * normalised in each row: a penalised regression on the draws (mechanism.h), whose smoothness is
 * that of the prior. All else is held, so that the loss is an upper bound of what there is with all
 * else optimised.
 */
#ifndef EBCRL_EDGE_LOSS_H
#define EBCRL_EDGE_LOSS_H

#include "bspline.h"
#include "penalty.h"

typedef struct {
  size_t n;
  int d, n_domains, n_draws;
  const double *draws; /* n x d x S */
  const int *env;      /* n, from 1 */
  const int *targets;  /* M x d */
  const double *range; /* 2 x d: knots */
} drawn_latents;

/* A latent's mechanism in a state: splines of its parents, or a constant. */
typedef struct {
  int node, state, n_parents;
  const int *parent;
  const double *theta, *lambda; /* n_parents x K, n_parents */
  double variance;
} drawn_mechanism;

typedef struct {
  const drawn_latents *latents;
  bspline_table table;
  penalty penalty;
  double variance_floor;
  int *first;             /* d */
  double *value, *weight; /* d x ORDER, S */
  /* of the mechanism without a parent: m coefficients of n_kept parents */
  int size, n_kept, *kept;
  double *gram, *inverse, *rhs, *theta, *scratch; /* m x m, m x m, m, m, m */
  double *lambda;                                 /* n_kept */
  double mass, square, variance, df;
} edge_loss_work;

edge_loss_work edge_loss_work_new(const drawn_latents *latents, int knots, allocator alloc);

/* The loss without parent k of the mechanism (< 0: -1 stands for none, and checks the draws), and
 * *df, effective degrees of freedom of what is left. NAN if the regression is singular. */
double edge_loss(edge_loss_work *w, const drawn_mechanism *m, int k, double *df,
                 void (*poll)(void));

#endif
