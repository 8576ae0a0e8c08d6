/* The measurement model x = A z + e, e ~ N(0, sigma2 I): what Algorithm 1 and g-modeling need to
 * know of A and of the noise.
 *
 * x says of z what the projections y = x P say: y = z up to the lengths D of orthogonal columns,
 * plus noise of covariance sigma2 N (d x d), of which sigma2 I is the simple case:
 *
 *   columns            A          P           N           file
 *   orthogonal         O D        O           I           measurement_orthogonal.c
 *   any                O Lambda   O Lambda^-1 Lambda^-2   measurement_general.c
 *   as they are        A          A           -           measurement_plain.c, of g-modeling, where
 *                                                         the sampler takes x A and A'A
 *
 * All that depends on the kind is a field of measurement_kind; a further kind is one more of them,
 * and a line in the table of measurement.c.
 */
#ifndef EBCRL_MEASUREMENT_KIND_H
#define EBCRL_MEASUREMENT_KIND_H

#include "linalg.h"
#include "polar.h"
#include "spectral.h"

/* sigma2 and its bound from below. */
typedef struct {
  double value;
  double sum_sq;      /* sum omega |x|^2 */
  double entries;     /* sum omega times p */
  double mean_square; /* of x */
  double least;       /* of sigma2 */
  int learned;        /* (4.9), else held */
  int floored;        /* how often it was at the bound */
} noise_level;

typedef struct measurement_kind measurement_kind;

typedef struct {
  const measurement_kind *kind;
  int p, d;
  double *orthonormal; /* p x d: O */
  double *scale;       /* D (d), or Lambda (d x d) */
  double *mixing;      /* p x d: A */
  double *gram;        /* d x d: A'A, of kinds with full second moments */
  double *projection;  /* p x d: P */
  double *shape;       /* d x d: N; NULL: I */
  noise_level noise;
  polar_work polar;
  spectral_work spectral;
  double *scratch;                   /* p x d */
  int rank_deficient, scale_floored; /* counted over the updates */
} measurement;

/* The noise of the projections: covariance sigma2 N, N = Lambda^-2; both NULL where Lambda = I. */
typedef struct {
  double sigma2;
  const double *lambda, *shape; /* d x d: Lambda, N */
} projection_noise;

/* Scratch of one task: a block of rows. score, slope: d x BLOCK_ROWS, of log f (own derivatives);
 * jacobian: d x d x BLOCK_ROWS, NULL where the slopes are enough. covariance: d x BLOCK_ROWS, or d
 * x d x BLOCK_ROWS with full second moments. */
typedef struct {
  double *score, *slope, *jacobian;
  double *covariance;
  int *floored;      /* BLOCK_ROWS: negative variances or eigenvalues of a row, set to 0 */
  double *product;   /* as jacobian */
  spectral_work one; /* of a row */
} measurement_task;

struct measurement_kind {
  const char *name;
  int full;     /* second moments of the latents are d x d, not d */
  int held;     /* A stays */
  int turns;    /* g: A is turned with the latents (parameter expansion) */
  int shears;   /* g: or sheared */
  int rescales; /* g: an update leaves in scale the lengths that latents are to take */
  void (*allocate)(measurement *m, allocator alloc); /* what the kind adds */
  /* Projects: A, P and N from O and the scale; or A'A from A. */
  int (*refresh)(measurement *m);
  /* Posterior moments of rows (4.4), (4.5) from t's score and its derivatives: y at y[row + j * n],
   * mean at mean[row + j * X_ROWS]; t->covariance and t->floored. */
  void (*moments)(const measurement *m, measurement_task *t, const double *y, size_t n, int rows,
                  double eta, double *mean);
  /* A given sum omega x z' (cross, p x d) and sum omega E zz' (second), up to what settle does once
   * sigma2 is updated; before: the previous A. Either may be NULL. */
  int (*update)(measurement *m, const double *cross, const double *second);
  int (*settle)(measurement *m, const double *before);
  /* sum_sq - 2 tr(A'cross) + tr(A'A second), what A and the latents leave of |x|^2. */
  double (*unexplained)(const measurement *m, const double *cross, const double *second);
  /* The point that the EM map moves, of p d + d numbers, and the way back. */
  void (*pack)(const measurement *m, double *point);
  int (*unpack)(measurement *m, const double *point);
  void (*turn)(measurement *m, int j); /* z_j becomes -z_j */
};

#endif
