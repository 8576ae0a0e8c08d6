/* Exact EM for g-modeling with a linear-Gaussian prior (gaussian_posterior.h), on moments.
 *
 *   y         q-dimensional coordinates of x in which A is sought: x itself, or its part in a
 *             subspace; what lies outside only adds to sum_sq
 *   group     combination of targets; domains with the same targets are pooled
 *   weight    G           weighted rows of a group
 *   mean      q x G       of y
 *   second    q x q x G   means of yy'
 *
 * Rows are read once, for the moments: an iteration costs G q^2 d for any number of rows. It
 * maximises the expected log-likelihood exactly, so that the log-likelihood never falls. General
 * columns of A take least squares, and are brought to length 1 by the scale of their latent, which
 * is arbitrary: the prior has it as parameters.
 */
#ifndef EBCRL_GAUSSIAN_EM_H
#define EBCRL_GAUSSIAN_EM_H

#include "gaussian_posterior.h"
#include "measurement.h"
#include "rows.h"

#include <stdint.h>

typedef struct {
  int q, n_groups;
  double p;           /* columns of x */
  double rows;        /* sum of weight */
  const int *targets; /* n_groups x d */
  const double *weight, *mean, *second;
  double sum_sq; /* sum omega |x|^2 */
} set_moments;

/* mean and second of every group, and its weight: group from 1 of each domain (n_domains). */
void gaussian_em_moments(const double *y, int q, const latent_sample *rows, const int *group,
                         int n_groups, double *weight, double *mean, double *second,
                         allocator alloc, void (*poll)(void));

typedef struct {
  int max_iter;
  double tol; /* on the relative change of all parameters */
  void (*tick)(int iteration, double change, void *ctx); /* once an iteration; may not return */
  void *ctx;
} gaussian_em_settings;

/* Columns of the trace; the variances of the cells follow. */
enum { GAUSSIAN_SIGMA2, GAUSSIAN_LOGLIK, GAUSSIAN_CHANGE, GAUSSIAN_VARIANCES };

/* Their names, in their order. */
extern const char *const gaussian_em_columns[GAUSSIAN_VARIANCES];

/* Moments of the latents given x. */
typedef struct {
  double *cross, *second;            /* q x d: sum omega y Ez'; d x d: sum omega E zz' */
  double *group_mean, *group_second; /* d x G, d x d x G: of z */
} expected_moments;

/* Scratch of a group. */
typedef struct {
  double *projected, *wide; /* q x d */
  double *left, *middle;    /* d x d */
} group_work;

typedef struct {
  const set_moments *data;
  gaussian_em_settings set;
  measurement *model; /* A in the coordinates of y */
  linear_scm *prior;
  int prior_given;
  double *trace; /* max_iter x (GAUSSIAN_VARIANCES + cells) */
  double loglik, change;
  int iterations, converged;
  /* by gaussian_em_prepare() */
  expected_moments moments;
  gaussian_posterior posterior; /* of the present group */
  group_work work;
  double *before, *after; /* all parameters, before and after an iteration */
} gaussian_em;

void gaussian_em_prepare(gaussian_em *s, allocator alloc);

/* Bytes that the moments and gaussian_em_prepare() take. */
double gaussian_em_bytes(double q, double d, double n_groups);

/* Fits prior, A and sigma2; with max_iter = 0 only the log-likelihood is computed. */
int gaussian_em_run(gaussian_em *s);

/* What is wanted of the posterior of rows; each n x d (times n_probs, times keep). */
typedef struct {
  double *mean, *sd, *quantile, *draws;
  int n_probs, keep, threads;
  const double *deviate; /* n_probs: standard normal quantiles */
  uint64_t seed;
} gaussian_latents;

/* Closed-form posterior of the latents of rows of x (n x p), A p x d. */
int gaussian_em_latents(const linear_scm *m, const double *x, int p, const latent_sample *rows,
                        const double *mixing, double sigma2, const gaussian_latents *out,
                        allocator alloc);

#endif
