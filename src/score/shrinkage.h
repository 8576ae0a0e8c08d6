/* How far empirical Gaussians are drawn to structured ones: empirical Bayes.
 *
 * Target set g has n_g rows with mean m_g and scatter S_g (n_g times the covariance), and a
 * structured mean m0_g and covariance C0_g. Under the normal-inverse-Wishart prior
 *   Sigma_g ~ IW(kappa C0_g, kappa + d + 1),   mu_g | Sigma_g ~ N(m0_g, Sigma_g / kappa)
 * of mean C0_g and worth kappa rows, the posterior means are, with w = kappa / (kappa + n_g),
 *   mu:     w m0 + (1 - w) m
 *   Sigma:  w C0 + (1 - w) S / n + w (1 - w) (m - m0)(m - m0)'.
 * One kappa for all sets maximises their marginal likelihood. With C0 = L L' and the eigenvectors V
 * of L^-1 S L^-T it depends on the data through
 *   spectrum  d x sets  eigenvalues of L^-1 S_g L^-T
 *   gap       d x sets  squares of V'L^-1 (m_g - m0_g)
 * only.
 */
#ifndef EBCRL_SHRINKAGE_H
#define EBCRL_SHRINKAGE_H

typedef struct {
  int d, n_sets;
  const double *rows; /* n_g */
  const double *spectrum, *gap;
} shrinkage_problem;

/* Log marginal likelihood, up to terms without kappa, and its derivative in log kappa. */
double shrinkage_evidence(const shrinkage_problem *p, double kappa);
double shrinkage_slope(const shrinkage_problem *p, double kappa);

/* The best kappa between 0.1 and 10^4 times the largest n_g. */
double shrinkage_kappa(const shrinkage_problem *p);

#endif
