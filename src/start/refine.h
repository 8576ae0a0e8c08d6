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
#include "penalty.h"
#include "rows.h"

/* Regressions on parents, and those of them whose corrected normal equations were not positive
 * definite. */
typedef struct {
  int fitted, indefinite;
} refine_count;

typedef struct {
  const latent_sample *rows; /* domains, targets, weights; its y is not read */
  causal_graph graph;
  bspline_table table;
  penalty penalty;
  double lambda; /* its weight */
  double *noise; /* d x d: covariance of the noise in the present coordinates, turned in place */
  double *trial; /* d x d: the same under a trial angle */
  int isotropic; /* it is sigma2 I */
  double variance_floor;
  int threads;
  double *z;           /* n x d */
  double *turned;      /* n x 2: columns a and b under a trial angle */
  double *value;       /* d: contribution of each node */
  double *work;        /* d x refine_node_size() */
  refine_count *count; /* d */
  size_t node_size;
} refinement;

/* Coefficients of the additive model of a node. */
int refine_coefficients(int n_parents, int n_basis);

/* Doubles of scratch a node needs. */
size_t refine_node_size(const causal_graph *g, int n_basis);

/* Turns z and r (d x d) plane by plane: in sweep 0 by golden section within `width`, in later ones
 * by parabolas of half the reach of the sweep before, until a sweep gains less than tol |F|. Sweeps
 * go from first_sweep to max_sweeps - 1. Returns F. */
double refine_rotation(refinement *f, double *r, double width, double tol, int first_sweep,
                       int max_sweeps, void (*poll)(void));

#endif
