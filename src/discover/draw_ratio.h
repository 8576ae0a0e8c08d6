/* Log-likelihood that observations gain under another prior of the latents, by draws.
 *
 * With draws z_s, s = 1, ..., S of a row's latents from their posterior under a fitted prior p,
 *   log p'(y) - log p(y) = log E[p'(T z) / p(z) | y],
 * where T takes the latents of the one hypothesis to those of the other, such that both explain y
 * alike: a rotation, or of determinant 1 or -1. The mean over few draws is too low by half its
 * variance; so is that with the hypotheses exchanged, the other way.
 */
#ifndef EBCRL_DRAW_RATIO_H
#define EBCRL_DRAW_RATIO_H

#include "bspline.h"
#include <stddef.h>

/* A prior of latents by splines: that of latent j in state c is cell 2 j + c. */
typedef struct {
  const int *targets;                /* M x d */
  const int *n_parents;              /* d */
  int *const *parent;                /* d */
  const double *const *theta;        /* by cell: n_parents x K; NULL: a constant */
  const double *constant, *variance; /* by cell */
  const double *range;               /* 2 x d: knots */
} spline_prior;

typedef struct {
  size_t n;
  int d, n_domains, n_draws;
  const double *draws; /* n x d x S */
  const int *env;      /* n, from 1 */
} prior_draws;

/* Sum over rows of log mean_s p'(T z_s) / p(z_s); turn: T (d x d); scratch: 2 d + S. */
double draw_ratio(const prior_draws *draws, const bspline_table *table, const spline_prior *from,
                  const spline_prior *to, const double *turn, double *scratch, void (*poll)(void));

#endif
