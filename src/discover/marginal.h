/* Likelihood of a hypothesis with linear mechanisms and Gaussian noise of latents:
 *   y ~ N(B T a_e, B T V_e T' B' + N),   T = (I - C_e)^-1,
 * C_e the slopes, a_e and V_e the intercepts and noise variances of the latents in their states in
 * domain e. Minus the log-likelihood, up to a constant, is a function of moments alone:
 *   F = sum_e n_e / 2 (log|S_e| + tr S_e^-1 (cov_e + (m_e - mu_e)(m_e - mu_e)')).
 * All parameters are optimised, from the regressions of profile.h.
 */
#ifndef EBCRL_MARGINAL_H
#define EBCRL_MARGINAL_H

#include "group_descent.h"
#include "hypothesis.h"

/* A latent in a state: where its parameters are in a step, and what they are. */
typedef struct {
  double weight, intercept, log_var, *slope, *centre; /* n_parents each */
  int n_parents, *parent, at; /* at: of intercept; log variance and slopes follow */
} marginal_cell;

/* What a domain takes. */
typedef struct {
  double *slopes, *total, *spread, *matrix, *cov, *precision, *excess, *turn; /* d x d */
  double *intercept, *var, *mean, *miss, *pull, *gram, *latent;               /* d; gram d x d */
} marginal_scratch;

typedef struct {
  const domain_summary *summary;
  const hypothesis *hypothesis;
  double least;                /* of noise variances */
  int size;                    /* of a step */
  double *now, *trial;         /* d x d: B */
  marginal_cell *cell, *moved; /* 2 d: [2 j + c] */
  marginal_scratch at;         /* of the present domain */
  double *scale, *gradient;
  int *order; /* d: parents first */
  group_descent_work descent;
} marginal_work;

marginal_work marginal_work_new(const domain_summary *s, double least, allocator alloc);

/* Prepares for a hypothesis, from B: parameters of all latents by regression. */
void marginal_set(marginal_work *w, const hypothesis *h, const double *columns);

/* F at the present point moved by a step; its gradient. */
double marginal_value(marginal_work *w, const double *step, double *gradient);

/* Descends from the present point. */
double marginal_descend(marginal_work *w, double tol, int max_iter, int *converged);

#endif
