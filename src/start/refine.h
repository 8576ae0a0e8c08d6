/* Refines a rotation of the principal subspace with nonlinear mechanisms: the objective of
 * rotation.h, its linear regressions replaced by additive cubic splines on the rows. The regressors
 * are noisy versions of the parents; the sums are corrected for that to the second order in the
 * noise (a corrected score in the sense of errors-in-variables models), which for linear mechanisms
 * is the correction of rotation.h.
 *
 *   z       n x d   pseudo-latents in the present coordinates, turned in place
 *   states  n rows, domains and targets as in latent_sample
 */
#ifndef EBCRL_REFINE_H
#define EBCRL_REFINE_H

#include "bspline.h"
#include "graph.h"
#include "measurement.h"
#include "penalty.h"
#include "rows.h"

/* Regressions on parents, those of them whose corrected normal equations were not positive
 * definite, and residual variances, with parents or without, that were at the floor. */
typedef struct {
  int fitted, indefinite, floored;
} refine_count;

typedef struct {
  int knots;
  double lambda;             /* weight of the penalty */
  const double *edge_lambda; /* d x d: the same of each parent of each node; NULL: lambda */
  const int *focus; /* d: 0 or 1; only planes of two coordinates with 1 are turned; NULL: all */
  double variance_floor;
  double width, tol; /* the first sweep looks so far, in radians; it ends with a gain below tol */
  int first_sweep, max_sweeps;
  int threads;
  void (*poll)(void); /* between planes; may not return */
} refine_settings;

typedef struct {
  const latent_sample *rows; /* domains, states, weights; its y is not read */
  causal_graph graph;
  refine_settings set;
  bspline_table table;
  penalty penalty;
  double *noise;  /* d x d: covariance of the noise in the present coordinates, turned in place */
  double *trial;  /* d x d: the same under a trial angle */
  int isotropic;  /* it is sigma2 I */
  double *z;      /* n x d */
  double *turned; /* n x 2: columns a and b under a trial angle */
  double *value;  /* d: contribution of each node */
  double *work;   /* d x node_size */
  refine_count *count; /* d */
  size_t node_size;
} refinement;

refinement refine_new(const latent_sample *rows, const causal_graph *g, const refine_settings *set,
                      allocator alloc);

/* z = y R and its noise R'N R, from principal coordinates y (n x d), R (d x d) and the noise of y.
 */
void refine_start(refinement *f, const double *y, const double *r, const projection_noise *noise);

/* Turns z, noise and R (d x d) until a sweep over all planes gains less than tol of F; returns F.
 * Sweeps are numbered from first_sweep: number 0 searches each plane, later ones step. */
double refine_rotation(refinement *f, double *r);

/* Over all nodes. */
refine_count refine_counts(const refinement *f);

#endif
