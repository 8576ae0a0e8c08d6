#include "signs.h"

#include <math.h>
#include <string.h>

int signs_of_loadings(const double *column, size_t p) {
  double largest = 0, sum = 0;
  for (size_t k = 0; k < p; k++)
    largest = fmax(largest, fabs(column[k]));
  for (size_t k = 0; k < p && largest > 0; k++) {
    double share = column[k] / largest; /* its cube does not underflow */
    sum += share * share * share;
  }
  return sum < 0 ? -1 : 1;
}

/* Rows, mean and sum of squares about it of a latent by domain, in two passes: far from 0 a mean
 * square would lose the variance. */
static void domain_moments_of(const double *z, const sign_design *g, double *count, double *mean,
                              double *square) {
  size_t domains = (size_t)g->n_domains;
  memset(count, 0, domains * sizeof(double));
  memset(mean, 0, domains * sizeof(double));
  memset(square, 0, domains * sizeof(double));
  for (size_t i = 0; i < g->n; i++) {
    count[g->env[i] - 1]++;
    mean[g->env[i] - 1] += z[i];
  }
  for (size_t e = 0; e < domains; e++)
    mean[e] /= count[e];
  for (size_t i = 0; i < g->n; i++) {
    double off = z[i] - mean[g->env[i] - 1];
    square[g->env[i] - 1] += off * off;
  }
}

static int without_targets(const sign_design *g, int domain) {
  for (int j = 0; j < g->d; j++)
    if (g->targets[domain + j * g->n_domains])
      return 0;
  return 1;
}

/* Mean over the rows of some domains (side: 1 targeted, 0 what they are compared with) and its
 * variance; returns their number of rows. */
static double side_mean(const sign_design *g, int node, int side, int controls, const double *count,
                        const double *mean, const double *square, double *average,
                        double *variance) {
  double rows = 0, sum = 0, spread = 0;
  for (int e = 0; e < g->n_domains; e++) {
    int targeted = g->targets[e + node * g->n_domains];
    if (targeted != side || (!side && controls && !without_targets(g, e)))
      continue;
    rows += count[e];
    sum += count[e] * mean[e];
    spread += count[e] > 1 ? count[e] * square[e] / (count[e] - 1) : INFINITY;
  }
  *average = sum / rows;
  *variance = spread / (rows * rows);
  return rows;
}

/* 1 or -1 where the mean of a latent clearly rises or falls where it is targeted, else 0. */
static int shift_sign(const double *z, const sign_design *g, int node, int controls,
                      double *moments) {
  double *count = moments, *mean = count + g->n_domains, *square = mean + g->n_domains;
  double on, off, var_on, var_off;
  domain_moments_of(z, g, count, mean, square);
  double rows_on = side_mean(g, node, 1, 0, count, mean, square, &on, &var_on);
  double rows_off = side_mean(g, node, 0, controls, count, mean, square, &off, &var_off);
  if (rows_on == 0 || rows_off == 0)
    return 0;
  double shift = on - off;
  if (!(fabs(shift) > SIGN_CLEAR * sqrt(var_on + var_off)))
    return 0;
  return shift > 0 ? 1 : -1;
}

void signs_choose(const double *latents, const sign_design *design, const double *mixing, size_t p,
                  const int *wanted, double *moments, int *sign) {
  int controls = 0;
  for (int e = 0; e < design->n_domains; e++)
    controls = controls || without_targets(design, e);
  for (int j = 0; j < design->d; j++) {
    int shift = 0;
    if (wanted[j] != SIGN_LOADINGS)
      shift = shift_sign(latents + (size_t)j * design->n, design, j, controls, moments);
    sign[j] = shift ? shift * wanted[j] : signs_of_loadings(mixing + (size_t)j * p, p);
  }
}
