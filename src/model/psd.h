/* The measurement model with correlated columns: A = O Lambda, Lambda symmetric positive definite
 * (Section 4.6).
 *
 *   y          n x d    pseudo-latents Lambda^-1 O'x = (A'A)^-1 A'x: the latents plus noise of
 *                       covariance sigma2 Lambda^-2, in the coordinates that the graph speaks of
 *   z          y + eta sigma2 Lambda^-2 s(y)
 *   Cov(z)     sigma2 Lambda^-2 + sigma2^2 Lambda^-2 J Lambda^-2, J the Jacobian of s
 *
 * Every A of full rank has such O and Lambda, so the M-step needs no alternation between them: the
 * minimiser of (4.7) is least squares, A = (sum x E z') (sum E zz')^-1, and O and Lambda are its
 * polar factors. A rescaling of a latent undone in its column leaves the model as it was; columns
 * of A are kept at length 1.
 */
#ifndef EBCRL_PSD_H
#define EBCRL_PSD_H

#include "linalg.h"

typedef struct {
  int p, d, lwork;
  double *mixing;                  /* p x d: A */
  double *projection;              /* p x d: O Lambda^-1 */
  double *noise;                   /* d x d: Lambda^-2 */
  double *vectors, *values, *work; /* of eigenvalue problems: d x d, d */
  double *square;                  /* d x d: scratch */
} psd_model;

psd_model *psd_model_new(int p, int d, allocator alloc);

/* Doubles that psd_model_new allocates, the eigenvalue solver's work aside. */
double psd_model_doubles(double p, double d);

/* Fills the model from O and Lambda, whose eigenvalues are kept above a small share of the largest;
 * *floored: how many were not. */
int psd_refresh(psd_model *m, const double *orthonormal, double *lambda, int *floored);

/* A = cross second^-1, the unconstrained minimiser of (4.7); second: d x d, sum E zz'. */
int psd_least_squares(psd_model *m, const double *cross, const double *second);

/* (4.9): (sum_sq + tr(A'A second) - 2 tr(A'cross)) / (n p), at least floor. */
double psd_sigma2(const psd_model *m, double sum_sq, const double *cross, const double *second,
                  size_t n, double floor, int *floored);

/* Columns of A to length 1, O and Lambda its polar factors. */
int psd_split(psd_model *m, polar_work *w, double *orthonormal, double *lambda, int *floored);

/* Turns latent j: the signs of its column of A and O and of its row and column of Lambda. */
void psd_turn(psd_model *m, int j, double *orthonormal, double *lambda);

/* Scratch of one task for psd_moments. */
typedef struct {
  double *jacobian, *cov, *product; /* d x d x BLOCK_ROWS each */
  double *vectors, *values, *work;  /* d x d, d, eigenvalue solver's */
  int *floored;                     /* BLOCK_ROWS: negative eigenvalues of each row */
} psd_scratch;

psd_scratch psd_scratch_new(const psd_model *m, allocator alloc);

double psd_scratch_doubles(double d);

/* Posterior moments of rows: y at y[row + j * n], score d x BLOCK_ROWS, t->jacobian filled; mean at
 * mean[row + j * X_ROWS], t->cov[(l * d + k) * BLOCK_ROWS + row]. The covariance is symmetrised and
 * its negative eigenvalues are set to 0, which t->floored counts by row. */
void psd_moments(const psd_model *m, psd_scratch *t, const double *y, size_t n, const double *score,
                 int rows, double sigma2, double eta, double *mean);

#endif
