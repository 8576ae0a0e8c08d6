/* The Gaussian reference score of pseudo-latents with correlated noise.
 *
 * With noise of covariance sigma2 Lambda^-2 a pseudo-latent depends on all the others, not only on
 * its parents, and a causal score (5.2) misses most of what denoising needs. The reference is the
 * score of a Gaussian with the mean and covariance of the rows of a target set (the domains that
 * share their targets),
 *   g_a(y) = -P_a (y - m_a),
 * which the score class then corrects: score matching fits phi'theta to what g leaves. The
 * covariance is that of the latents plus the noise, so its excess over the noise is kept positive
 * semi-definite: in the coordinates O'x, where the noise is sigma2 I, eigenvalues are at least
 * sigma2.
 */
#ifndef EBCRL_REFERENCE_H
#define EBCRL_REFERENCE_H

#include "psd.h"
#include "score.h"

typedef struct {
  int d, n_groups;
  const int *group;  /* n_domains: the target set of a domain, from 0 */
  double *mean;      /* d x n_groups */
  double *precision; /* d x d x n_groups */
  double *score;     /* n x d */
  double *sums;      /* shards x n_groups x (1 + d + d d): weights, weighted y, weighted yy' */
  int floored;       /* eigenvalues kept at sigma2 */
} gaussian_reference;

/* mean and precision are the caller's. group: n_domains codes from 0. */
gaussian_reference *reference_new(const latent_sample *s, const int *group, int n_groups,
                                  double *mean, double *precision, int n_shards, allocator alloc);

/* Doubles that reference_new allocates. */
double reference_doubles(double n, double d, double n_groups);

/* m_a and P_a from the pseudo-latents, and the score at every row. */
int reference_fit(gaussian_reference *r, const latent_sample *s, const row_shards *shards,
                  int threads, const psd_model *m, const double *lambda, double sigma2);

/* Adds the reference to what a score class evaluated for a block of rows. */
void reference_add(const gaussian_reference *r, const latent_sample *s, size_t start, int rows,
                   double *score, double *dscore, double *jacobian, double *loss);

#endif
