/* Additive spline mechanisms: E[z_j | parents] in state c is sum_k f_kjc(z_k), or a constant where
 * j has no parents or its state cuts them off.
 *
 * Given the latents, coefficients and variance of a cell (node, state) are a penalised regression
 *   theta = (G + P + jitter I)^-1 r,  v = (s - 2 theta'r + theta'G theta) / w,
 * with sums over the cell's rows G = sum omega b b', r = sum omega b z_j, s = sum omega z_j^2,
 * w = sum omega, b the parents' basis functions one after another (1 without parents). G, r and s
 * are the sufficient statistics that stochastic approximation averages: all of them stand in one
 * vector.
 *
 * P penalises second differences D of the coefficients of each parent. Where smoothing is local,
 * its weight lambda_s is that of one of `pieces` places along the parent's range, and linear in
 * between (piece_weight()): a curve may be steep at one place and flat at others.
 *
 * x tells less of the coefficients than the draws hold: G less M, the information that is missing
 * (Louis 1982). M = v sum Cov[score_i | x_i] is estimated from two draws of each row, some sweeps
 * apart. Local weights maximise the marginal likelihood of the coefficients by this information;
 * one weight, as in starts, that by the draws, which is steadier and smooths more.
 *
 * With noise in K components (noise.h) there are K such sums, one for each label. Coefficients are
 * then a weighted regression given the components, and components follow from the residuals'
 * moments given the coefficients.
 */
#ifndef EBCRL_MECHANISM_H
#define EBCRL_MECHANISM_H

#include "bspline.h"
#include "latent_block.h"
#include "noise.h"
#include "penalty.h"
#include "rows.h"

enum { MAX_PIECES = 16 };

typedef struct {
  int parents;    /* that act */
  int n_coef;     /* m = parents x K, or 1 */
  size_t at;      /* in the statistics: G (m x m, lower triangle), r (m), s; K times */
  double weight;  /* w; 0: no rows, no parameters */
  double *theta;  /* m */
  double *lambda; /* parents x pieces */
  size_t missing; /* where its M (m x m, lower triangle) begins */
  double df;      /* effective degrees of freedom, tr((G + P)^-1 G) */
} mechanism_cell;

/* Scratch of the regressions. */
typedef struct {
  double *inverse, *solution; /* m x m, m of the largest cell */
  double *observed;           /* m x m: inverse of the information on theta, times v */
  double *pooled, *basis_sum; /* of mixtures: G, r and s, and m x K */
} mechanism_work;

typedef struct {
  causal_graph graph;
  bspline_table table;
  penalty penalty;
  int learn_lambda;            /* by generalised Fellner-Schall steps, else held */
  int held_lambda;             /* not for now */
  int pieces;                  /* weights of a parent */
  double *missing;             /* M of all cells, one after another; zeros at first */
  int estimates;               /* of M, that `missing` is a mean of */
  mechanism_cell *cell;        /* by cell */
  double *constant, *variance; /* by cell */
  noise_mixture noise;
  int *listens;        /* by cell */
  double *range;       /* 2 x d: knots of the statistics */
  double *curve_range; /* 2 x d: knots of the curves */
  double *curve;       /* n_edges x n_states x (knots + 1) x ORDER: polynomials by interval */
  double variance_floor;
  double variance_step;  /* the least, see noise_stepped() in noise.h; 1: variances are what fits */
  int floored, jittered; /* cells, counted over the fits */
  size_t n_stats;        /* length of the statistics */
  size_t n_missing;      /* length of `missing` */
  mechanism_work work;
} mechanisms;

typedef struct {
  int knots;
  double lambda;
  int learn_lambda;
  int pieces;
  double variance_floor;
  int components; /* of the noise; 1: Gaussian */
} mechanism_settings;

mechanisms mechanisms_new(const latent_sample *s, const causal_graph *g, mechanism_settings set,
                          allocator alloc);

/* Doubles of the statistics, as if all parents acted in all states. */
double mechanism_stats_count(const causal_graph *g, int knots, int components);

/* The prior that the mechanisms make, for as long as `m` stays where it is. */
causal_prior mechanism_prior(const mechanisms *m);

/* Basis functions of a block's latents: first index and four values of each. */
typedef struct {
  int *first;    /* d x BLOCK_ROWS */
  double *value; /* d x BLOCK_ROWS x ORDER */
} mechanism_basis;

mechanism_basis mechanism_basis_new(int d, allocator alloc);

/* Adds a block's rows to an estimate of `missing`, from its draws and those of some sweeps ago,
 * `lagged` (d x BLOCK_ROWS); residual: d x BLOCK_ROWS, scratch. */
typedef struct {
  mechanism_basis basis;
  double *z, *residual[2]; /* d x BLOCK_ROWS */
} mechanism_pair;

mechanism_pair mechanism_pair_new(int d, allocator alloc);
void mechanism_add_missing(const mechanisms *m, const mechanism_basis *w, mechanism_pair *lagged,
                           const latent_sample *s, const latent_block *b, double *missing);

/* Takes an estimate into the mean. */
void mechanism_take_missing(mechanisms *m, const double *estimate);

/* Adds a block's rows to the statistics. */
void mechanism_add(const mechanisms *m, const mechanism_basis *w, const latent_sample *s,
                   const latent_block *b, double *stats);

/* gradient (d x BLOCK_ROWS) of the log density of the block's latents under the prior; the block's
 * means must be up to date. */
void mechanism_gradient(const mechanisms *m, const latent_block *b, double *gradient);

/* Coefficients, variances and curves from the statistics. */
int mechanism_fit(mechanisms *m, const double *stats);

/* The same from latents without labels, z_j with errors of variance error[j], which is taken off
 * the residual variance. */
int mechanism_start(mechanisms *m, const double *stats, const double *error);

/* G, P and as much of M as leaves G + P - M positive definite (m x m each): v (G + P - M)^-1 is the
 * covariance of the cell's coefficients. 0 if there is no such share. */
int mechanism_information(mechanisms *m, int c, const double *stats, double *gram, double *penalty,
                          double *missing);

/* Curves from coefficients and range. */
void mechanism_curves(mechanisms *m);

#endif
