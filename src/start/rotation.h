/* The rotation of the principal subspace that makes latents causal: profile likelihood of the
 * interventional linear-Gaussian structural causal model.
 *
 * With pseudo-latents y in the principal subspace and z = R'y, each (node j, state c) regresses z_j
 * on its parents over the domains in that state; with residual variance v_jc, minus the profile
 * log-likelihood is, up to constants,
 *   F(R) = sum_jc n_jc / 2 log v_jc.
 * v_jc depends on the rows only through the pooled covariance of those domains, less the noise
 * variance on the diagonal (which removes the errors-in-variables bias), so F costs the same for
 * any number of rows. R moves by plane rotations: a grid over the angle, then golden section.
 */
#ifndef EBCRL_ROTATION_H
#define EBCRL_ROTATION_H

#include "workspace.h"

#include <stdint.h>

typedef struct {
  int n_coord;       /* 1 + parents */
  const int *coord;  /* the node, then its parents */
  double weight;     /* n_jc */
  const double *cov; /* d x d, in principal coordinates */
} rotation_cell;

typedef struct {
  int d, n_cells;
  const rotation_cell *cell;
  double variance_floor; /* of v_jc */
} rotation_problem;

typedef struct {
  double *cov;   /* n_cells x d x d: the covariances in the present coordinates */
  double *small; /* scratch of one family */
  double *row;   /* d */
} rotation_work;

rotation_work rotation_work_new(const rotation_problem *p, allocator alloc);

/* F at rotation r (d x d). */
double rotation_objective(const rotation_problem *p, rotation_work *w, const double *r);

/* Descends from r, in place, until a sweep over all planes gains less than tol |F|. Returns F.
 * poll: called several times a sweep; may not return. */
double rotation_descend(const rotation_problem *p, rotation_work *w, double *r, double tol,
                        int max_sweeps, void (*poll)(void));

/* Least rise of F over turns of r by +-angle in the plane of latents a and b, for each a < b:
 * rise[a + b d] (d x d, the rest 0). */
void rotation_rises(const rotation_problem *p, rotation_work *w, const double *r, double angle,
                    double *rise);

/* r (d x d) = a uniformly distributed rotation: draw number `start` of `seed`. */
void rotation_random(double *r, int d, uint64_t seed, uint32_t start, double *normals);

#endif
