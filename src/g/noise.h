/* Noise of the mechanisms (6.2) beyond Gaussian: u of cell (node, state) is a finite mixture,
 *
 *   u ~ sum_s weight_s N(mean_s, variance_s),  sum_s weight_s mean_s = 0,
 *
 * so that the mechanism keeps its intercept. Given its label, that is the component it comes from,
 * u is Gaussian; the sampler draws labels at the beginning of each sweep.
 */
#ifndef EBCRL_NOISE_H
#define EBCRL_NOISE_H

#include "workspace.h"

enum { MAX_COMPONENTS = 10 };

/* component s of cell c at n c + s */
typedef struct {
  int n; /* components; with 1, u is Gaussian and the rest is not used */
  double *weight, *mean, *variance;
  double *height; /* log weight - log(variance) / 2 */
} noise_mixture;

/* Moments of the residuals z - f of a cell by label, weighted. */
typedef struct {
  double weight[MAX_COMPONENTS], sum[MAX_COMPONENTS], square[MAX_COMPONENTS];
} labelled_moments;

/* All components N(0, 1). */
noise_mixture noise_mixture_new(int components, int n_cells, allocator alloc);

/* Components of cell c that make up about N(0, variance) and are not the same. */
void noise_split(noise_mixture *m, int c, double variance);

/* label[rows] = component that each residual u of a cell comes from, given uniform random numbers;
 * rows: at most BLOCK_ROWS. */
void noise_labels(const noise_mixture *m, const int *cell, const double *u, const double *uniform,
                  int rows, int *label);

/* A step from `value` towards `to`; of length 1 exactly there. */
double noise_stepped(double value, double to, double step);

/* Mixture of cell c from moments, with a few pseudo-rows for each component that are like the cell
 * as a whole. Returns what the intercept gains; *variance is that of u. Variances of components
 * take a step towards those of the moments. Variances below the floor are raised to it and
 * counted. */
double noise_fit(noise_mixture *m, int c, const labelled_moments *moments, double step,
                 double floor, double *variance, int *floored);

/* Heights from weights and variances. */
void noise_heights(noise_mixture *m, int c);

#endif
