/* Rows whose noise is their own, since not all of their features are seen.
 *
 * Row i, seen in the features o, has in the span of U (p x q, orthonormal) the weighted
 * least-squares coordinates y_i = N_i U_o' Psi_o^-1 (x_o - mu_o), with noise of covariance N_i =
 * (U_o' Psi_o^-1 U_o)^-1. Covariances of rows are packed (packed.h), n x q(q+1)/2.
 *
 * Where the score s was learned at a common N, the row that y_i would be at noise N, D = N_i - N,
 *   y~ = y + D s(y~),
 * has the score of the row, s_i(y) = s(y~): to first order in D, and exactly so for normal latents.
 */
#ifndef EBCRL_ROW_NOISE_H
#define EBCRL_ROW_NOISE_H

#include "second_moments.h"

typedef struct {
  int p;
  const double *mean, *psi; /* p */
} noise_model;

/* Rows start .. start + many of x, row by row. */
void row_noise_observed(const weighted_rows *r, size_t start, int many, double *out);

/* precision += b_o' Psi_o^-1 b_o (packed), inner += b_o' Psi_o^-1 (x_o - mu_o), b p x q, x a row;
 * returns the log-density of noise x_o - mu_o. */
double row_noise_sums(const noise_model *m, const double *b, const double *x, int q,
                      double *precision, double *inner);

typedef struct {
  double *coord, *noise; /* n x q and packed: NaN where a row does not tell all coordinates */
  double *precision;     /* q x q: mean of N_i^-1 */
  double *row;           /* p: scratch */
} row_coordinates;

void row_noise_project(const noise_model *m, const weighted_rows *rows, const double *span, int q,
                       row_coordinates *out);

/* Covariances of turn y, turn d x q. */
void row_noise_turn(const double *noise, const double *turn, size_t n, int q, int d, double *out);

typedef struct {
  const double *y, *noise;      /* n x d and packed */
  const double *common;         /* d x d: N */
  const double *score, *dscore; /* n x d: at y~ */
  size_t n;
  int d;
} noisy_rows;

/* A step of Newton's method for y~, in `at` (n x d). */
void row_noise_newton(const noisy_rows *r, double *at);

/* Tweedie's posterior moments, from score and dscore at y~; returns how many variances were
 * negative, and are set to 0. */
size_t row_noise_moments(const noisy_rows *r, double eta, double *mean, double *variance);

#endif
