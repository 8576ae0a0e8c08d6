/* The linear-Gaussian model of x by domains, by maximum likelihood: where the features are too few
 * for their pooled second moments to tell factors and unequal noise (factor.h), graph and targets
 * say what differs between domains and what does not.
 *
 *   x in domain e ~ N(mu + A m_e, A Sigma_e A' + Psi),   Psi diagonal,
 *
 * (m_e, Sigma_e) the moments of a linear structural causal model (linear_scm.h) under the targets
 * of e. With C_e = S_e + r_e r_e', r_e = mean_e - mu - A m_e, V_e = A Sigma_e A' + Psi, -2/n times
 * the log-likelihood is, up to p log(2 pi), F = sum_e w_e (log|V_e| + tr V_e^-1 C_e), with G_e =
 * V_e^-1 - V_e^-1 C_e V_e^-1 and h_e = V_e^-1 r_e, dF/dA = sum_e w_e (2 G_e A Sigma_e - 2 h_e
 * m_e'),  dF/dmu = -2 sum_e w_e h_e, dF/dpsi_j = sum_e w_e (G_e)_jj,  dF/dSigma_e = w_e A' G_e A,
 * dF/dm_e = -2 w_e A' h_e, and with K = (I - B)^-1 of a domain, Sigma = K diag(v) K', m = K c, D =
 * dF/dSigma, g = dF/dm, dF/dv_j = (K'DK)_jj,  dF/dc_j = (K'g)_j,  dF/db_jk = 2 (K'D Sigma)_jk +
 * (K'g)_j m_k. Scale and, where mu is fitted, location of a latent are arbitrary: in the first of
 * its target states with rows its noise has variance 1 and, then, it has intercept 0. Factors
 * beyond the first `latents` are nuisance: intercept 0 in any case.
 *
 * To compare with orthogonal columns of the first `orthogonal` latents, `weight` times the sum of
 * their squared cosines is added to F for the search.
 *
 * Quasi-Newton in A, log psi, mu, slopes, intercepts and log v, psi bounded below (Heywood cases).
 * An evaluation costs M p^3: for few features.
 */
#ifndef EBCRL_FACTOR_DOMAINS_H
#define EBCRL_FACTOR_DOMAINS_H

#include "linear_scm.h"

typedef struct {
  int equal, centered; /* equal: Psi = sigma2 I; centered: mu is fitted */
  double least;        /* of psi_j, as a share of unit_j^2 */
  int orthogonal;
  double weight;
  int max_iter;
  void (*poll)(void); /* once an evaluation; may not return */
} factor_domains_settings;

/* Scratch. */
typedef struct {
  int n_parameters;
  double *gradient; /* n_parameters */
  double *wide;     /* p x p: V^-1, C, G */
  double *tall;     /* p x q: scratch */
  double *square;   /* q x q: scratch */
  double *slope;    /* p: r, h */
} factor_domains_work;

typedef struct {
  int p, q, n_domains, latents;
  const double *share; /* n_domains: w_e, of sum 1 */
  const double *mean;  /* p x n_domains */
  const double *cov;   /* p x p x n_domains: S_e, about the mean of the domain */
  const int *targets;  /* n_domains x q */
  const double *unit;  /* p: standard deviations of the features, their units */
  factor_domains_settings set;
  linear_scm scm;   /* start and result */
  double *mixing;   /* p x q: A, start and result */
  double *psi;      /* p: start and result */
  double *center;   /* p: mu, start and result */
  double objective; /* F */
  int iterations, converged, floored, status;
  factor_domains_work work;
} factor_domains;

/* The fields of data, settings and scm are to be set; allocates the rest. */
void factor_domains_prepare(factor_domains *f, allocator alloc);

/* F at the fields, in f->objective; returns it with the penalty, and has the gradient of that in
 * the parameters in f->work.gradient. */
double factor_domains_objective(factor_domains *f);

int factor_domains_fit(factor_domains *f, allocator alloc);

#endif
