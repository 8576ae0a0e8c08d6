/* What is known of the data before graph and targets are, and a hypothesis on both.
 *
 * The data: moments of each domain in coordinates y of the space of the factors, y = B z + noise, B
 * (d x d) a rotation, or any matrix with columns of length 1. A hypothesis: a graph over the
 * latents and the targets of each domain. Latent j has the same mechanism in all domains that do
 * not target it (state 0), and another in those that do (state 1); perfect interventions cut its
 * parents off.
 */
#ifndef EBCRL_HYPOTHESIS_H
#define EBCRL_HYPOTHESIS_H

#include "regression.h"
#include "workspace.h"

typedef struct {
  int d, n_domains;
  const double *n;     /* M: rows */
  const double *mean;  /* d x M */
  const double *cov;   /* d x d x M: about the domain's mean, noise included */
  const double *noise; /* d x d */
  int perfect;
  int general; /* columns of B of any direction */
} domain_summary;

typedef struct {
  const int *dag;     /* d x d: [i + j d] is 1 where i -> j */
  const int *targets; /* M x d */
} hypothesis;

/* The parents of latent j in state c of a hypothesis, ascending; returns how many. */
int hypothesis_parents(const domain_summary *s, const hypothesis *h, int j, int c, int *parents);

/* Rows, mean (d) and covariance (d x d) of the domains with latent j in state c, pooled; less the
 * covariance of the noise. Returns the rows; where there are none, nothing is written. */
double hypothesis_pooled(const domain_summary *s, const hypothesis *h, int j, int c, double *mean,
                         double *cov);

/* Number of parameters beside B: for each latent and state with rows mean, variance and slopes. */
int hypothesis_parameters(const domain_summary *s, const hypothesis *h);

/* B moved by a step in its tangent space, out = B (I + S) made orthonormal by Gram and Schmidt (S
 * skew: the entries above its diagonal, column by column), or, general, columns scaled to length 1
 * (all entries off the diagonal). */
void hypothesis_moved(const double *b, int d, int general, const double *step, double *out);

int hypothesis_steps(int d, int general);

/* The gradient in these coordinates from X, dF = <X, S>. */
void hypothesis_gradient(const double *x, int d, int general, double *gradient);

/* Parents are collinear below this residual variance. */
static const regression_limit hypothesis_collinear = {1e-12, NULL};

#endif
