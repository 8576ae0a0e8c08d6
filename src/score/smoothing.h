/* Smoothing chosen from the data, by cross-validation of the score-matching loss (5.4).
 *
 * Rows are dealt into folds. For every fold v the score is fitted to the other folds under each
 * penalty weight of a grid, and from the fold's own rows, cell by cell, come the sums of
 * omega s^2 and omega ds, hence the held-out loss
 *   L_v(lambda) = sum of omega (s^2 / 2 + ds),
 * which up to a constant is Stein's unbiased estimate of the squared error of Tweedie's formula.
 *
 * lambda: a cell whose own best weight is better for its own rows than the best weight of the
 * others, by more than three standard errors over the folds, takes it; the others have one weight
 * in common, the one with the smallest loss over all their rows.
 *
 * eta: the squared error of z_j = (y_j + eta sigma2 s_j) / D_j is, up to a constant,
 *   sigma2^2 sum_j (eta^2 sum s_j^2 + 2 eta sum ds_j) / D_j^2,
 * which is smallest at eta = - sum_j (sum ds_j / D_j^2) / sum_j (sum s_j^2 / D_j^2).
 *
 * A reference score g (reference.h), fitted to all rows, joins the spline score phi'theta: theta in
 * the right-hand sides, and s = phi'theta + g in the sums for eta.
 *
 * A fold's sample is the whole one with weights of 0: no row is moved, and the score's own
 * accumulation serves.
 */
#ifndef EBCRL_SMOOTHING_H
#define EBCRL_SMOOTHING_H

#include "cells.h"
#include "reference.h"

#include <stdint.h>

/* The grid is 10^-2, 10^-1, ..., 10^6. */
enum { N_FOLDS = 5, N_WEIGHTS = 9, FIRST_DECADE = -2 };

typedef struct {
  int choose_lambda, choose_eta;
  int *env;           /* n: (fold, domain) of a row, domains fastest */
  int *targets;       /* N_FOLDS n_domains x d */
  double *train;      /* N_FOLDS n_domains: weights that leave a fold out */
  double *test;       /* N_FOLDS n_domains: weights of the fold alone */
  double *lambda;     /* n_cells x N_WEIGHTS */
  int *departed;      /* n_cells: has the cell a weight of its own? */
  double *known;      /* 2 x d: sums of omega g^2 and omega dg */
  held_out_sums *sum; /* N_FOLDS, each n_cells x N_WEIGHTS */
} smoothing;

smoothing *smoothing_new(const latent_sample *s, int choose_lambda, int choose_eta, uint64_t seed,
                         allocator alloc);

double smoothing_bytes(double n, double d, double n_cells, double n_domains);

/* Chooses the cells' lambda and *eta, as far as they are to be chosen, for the present
 * pseudo-latents. r: the reference in s, or NULL; scale: D. */
int smoothing_choose(smoothing *c, score_model *m, const latent_sample *s,
                     const gaussian_reference *r, const double *scale, double *eta);

#endif
