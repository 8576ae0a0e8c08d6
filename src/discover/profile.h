/* Profile likelihood of a hypothesis, linear mechanisms, by regressions on moments without noise:
 *   F(W) = sum_jc n_jc / 2 log v_jc(W) - n log|det W|,   z = W'y,
 * v_jc the residual variance of z_j on its parents in the pooled domains of state c, less the
 * noise's part (rotation.h, unmixing.h). Quick, and consistent, but no likelihood of y where there
 * is noise: what it compares are orders and targets; edges are judged by marginal.h.
 */
#ifndef EBCRL_PROFILE_H
#define EBCRL_PROFILE_H

#include "group_descent.h"
#include "hypothesis.h"

typedef struct {
  double weight, *cov;
  int n_coord, *coord; /* parents, then the node */
} profile_cell;

typedef struct {
  const domain_summary *summary;
  double floor; /* of v_jc, as a share of the noise of z_j */
  int n_cells, floored;
  profile_cell *cell;                              /* 2 d */
  double *now, *trial, *pull, *matrix;             /* d x d */
  double *image, *gram, *slopes, *residual, *mean; /* d x d, d x d, d, d, d */
  int *pivot;
  double *scale; /* of a step */
  group_descent_work descent;
} profile_work;

profile_work profile_work_new(const domain_summary *s, double floor, allocator alloc);

/* Prepares for a hypothesis. */
void profile_set(profile_work *w, const hypothesis *h);

/* F at W; gradient (hypothesis_steps()) or NULL. INFINITY where W is singular. Sets `floored`. */
double profile_value(profile_work *w, const double *columns, double *gradient);

/* Descends from W, in place. */
double profile_descend(profile_work *w, double *columns, double tol, int max_iter, int *converged);

#endif
