/* The Gaussian reference score of the pseudo-latents.
 *
 * A causal score (5.2) sees a node, its parents and its own target state: not what the children say
 * about the node, nor what noise of covariance sigma2 Lambda^-2 (measurement.h) couples. The
 * reference is the score of a Gaussian for each combination of targets a, g_a(y) = -P_a (y - m_a),
 * which has the linear part of all that, and which the score class then corrects: score matching
 * (5.4) fits phi'theta to what g leaves. The paper has no such term.
 *
 * m_a and P_a^-1 lie between those of the rows with these targets and those that a linear
 * structural causal model implies (linear_scm.h), by empirical Bayes (shrinkage.h); a combination
 * without rows has the latter. The covariance is that of the latents plus the noise, so its excess
 * over the noise is kept positive semi-definite: in the coordinates O'x, where the noise is
 * sigma2 I, eigenvalues are at least sigma2.
 */
#ifndef EBCRL_REFERENCE_H
#define EBCRL_REFERENCE_H

#include "linear_scm.h"
#include "measurement.h"
#include "rows.h"
#include "spectral.h"

/* Moments of the rows by target set; see linear_scm.h and shrinkage.h. */
typedef struct {
  double *weight;         /* n_groups: sum of omega */
  double *rows;           /* n_groups: effective number of rows, (sum omega)^2 / sum omega^2 */
  double *mean, *second;  /* d x n_groups, d x d x n_groups */
  double *spectrum, *gap; /* d x n_groups */
  double *sums, *row;     /* by shard: sums of y and yy'; scratch of a row */
} reference_moments;

typedef struct {
  int d, n_groups, n_shards;
  const int *group; /* n_domains: the target set of a domain, from 0 */
  int *targets;     /* n_groups x d */
  linear_scm scm;
  double kappa;      /* rows that the structured moments are worth */
  double *mean;      /* d x n_groups */
  double *precision; /* d x d x n_groups */
  double *score;     /* n x d */
  reference_moments own;
  double *cov; /* d x d */
  spectral_work spectral;
  int floored; /* eigenvalues kept at sigma2, variances at 0 */
} gaussian_reference;

/* group: n_domains codes from 0. */
gaussian_reference *reference_new(const latent_sample *s, const int *group, int n_groups,
                                  const causal_graph *graph, int n_shards, allocator alloc);

/* Doubles that reference_new allocates. */
double reference_doubles(double n, double d, double n_states, double n_groups);

/* m_a and P_a from the pseudo-latents, and the score at every row. */
int reference_fit(gaussian_reference *r, const latent_sample *s, const row_shards *shards,
                  int threads, const projection_noise *noise);

/* The mean and precision that r->scm implies for target set g. */
int reference_implied(gaussian_reference *r, int g, const projection_noise *noise);

/* The score at every row, from mean and precision. */
void reference_score(gaussian_reference *r, const latent_sample *s, const row_shards *shards,
                     int threads);

/* Adds the reference to what a score class evaluated for a block of rows; jacobian: or NULL. */
void reference_add(const gaussian_reference *r, const latent_sample *s, size_t start, int rows,
                   double *score, double *dscore, double *jacobian, double *loss);

/* square[j], slope[j]: sums over the rows of omega g_j^2 and omega dg_j. */
void reference_sums(const gaussian_reference *r, const latent_sample *s, double *square,
                    double *slope);

#endif
