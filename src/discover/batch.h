/* Many hypotheses at a time, each from its own columns; threads share them out, and every result
 * depends on its own start alone. */
#ifndef EBCRL_BATCH_H
#define EBCRL_BATCH_H

#include "marginal.h"
#include "profile.h"

typedef struct {
  const int *dags, *targets;             /* d x d x H, M x d x H */
  double *columns;                       /* d x d x H: starts, replaced by where the descents end */
  double *value;                         /* H */
  int *converged, *floored;              /* H */
  double *intercept, *variance, *slopes; /* d x 2 x H, d x 2 x H, d x 2 x d x H: of
                                          * batch_marginal(); slopes by parent, state, latent */
  double tol;
  int max_iter, threads;
} hypothesis_batch;

/* Hypotheses from, ..., to - 1; work: one a thread. */
void batch_profile(profile_work *work, const hypothesis_batch *batch, int from, int to);
void batch_marginal(marginal_work *work, const hypothesis_batch *batch, int from, int to);

#endif
