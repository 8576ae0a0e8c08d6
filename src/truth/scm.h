/* The structural causal model of the latents (eqs. 3.2, 7.1) and its posterior given
 * pseudo-latents.
 *
 *   untargeted node:  z_j =                          sum_k w_kj g(z_k) + N(0, noise_var_j)
 *   targeted node:    z_j = int_mean_j + parent_effect sum_k w_kj g(z_k) + N(0, int_sd_j^2)
 *
 * parent_effect = 0 is a perfect intervention. Nodes are numbered from 0. */
#ifndef EBCRL_SCM_H
#define EBCRL_SCM_H

#include <stddef.h>
#include <stdint.h>

enum scm_kind { SCM_LINEAR, SCM_TANH, SCM_BOUNDED, SCM_STRONG, SCM_PRINTED, SCM_USER };

/* g[n] = the caller's own nonlinearity at z[n]; called from one thread only. */
typedef void (*scm_user_function)(void *context, const double *z, size_t n, double *g);

struct scm_spec {
  int d;                  /* latents */
  const int *offset;      /* d + 1: the parents of j stand at offset[j] .. offset[j + 1] - 1 */
  const int *parent;      /* offset[d] */
  const double *weight;   /* offset[d]: w_kj, in step with parent */
  const int *order;       /* d: a topological order */
  enum scm_kind kind;     /* which g */
  double kappa;           /* slope of g */
  scm_user_function user; /* for SCM_USER */
  void *user_context;
  const double *noise_var; /* d */
  const double *int_mean;  /* d */
  const double *int_sd;    /* d */
  double parent_effect;
};

/* What is observed: row i has y_ij = z_ij + noise and follows domain env[i]. Where the noise of the
 * y_j is correlated it is described by regressions in topological order: noise_j = sum over earlier
 * k of coef[k + d j] noise_k + N(0, y_var_j). */
struct scm_data {
  size_t n;
  const double *y;     /* n x d, column-major */
  const double *y_var; /* d */
  const double *coef;  /* d x d, or NULL: independent noise */
  const int *env;      /* n, domains 1..M */
  const int *targets;  /* M x d, column-major, 0/1 */
  int n_domains;       /* M */
  const int *drawn;    /* M x d, from scm_drawn() */
};

struct scm_posterior {
  double *mean; /* n x d */
  double *sd;   /* n x d */
  double *ess;  /* n */
};

/* g[n] = g(z[n]). */
void scm_nonlinearity(const struct scm_spec *scm, const double *z, size_t n, double *g);

/* mean[n] = E[z_j | parents] for n points, g[k * stride + s] = g(z_k) at point s; returns the
 * conditional variance of z_j. */
double scm_mechanism(const struct scm_spec *scm, int j, int targeted, const double *g,
                     size_t stride, size_t n, double *mean);

/* drawn[e + M j] = 1 when some mechanism of domain e depends on z_j. */
void scm_drawn(const struct scm_spec *scm, const int *targets, int n_domains, int *drawn);

/* Rows handled together by one thread, and the doubles one thread needs for them. */
size_t scm_tile_rows(const struct scm_spec *scm, size_t draws);
size_t scm_work_size(const struct scm_spec *scm, size_t draws);

/* Posterior of rows from .. to - 1; draws even; work: threads * scm_work_size() doubles. */
void scm_importance(const struct scm_spec *scm, const struct scm_data *data, size_t draws,
                    uint64_t seed, size_t from, size_t to, int threads, double *work,
                    const struct scm_posterior *out);

#endif
