#include "shrinkage.h"

#include <Rmath.h>
#include <math.h>
#include <stddef.h>

enum { GRID = 12, MAX_STEPS = 100 };

static const double LEAST = 0.1, MOST_ROWS = 1e4;

/* Relative width of the interval around kappa that ends the search. */
static const double TOL = 1e-13;

static double set_evidence(const shrinkage_problem *p, int g, double kappa) {
  int d = p->d;
  const double *spectrum = p->spectrum + (size_t)g * (size_t)d,
               *gap = p->gap + (size_t)g * (size_t)d;
  double n = p->rows[g], freedom = kappa + d + 1, gammas = 0, logs = 0, shift = 0;
  for (int i = 0; i < d; i++) {
    gammas += lgammafn((freedom + n - i) / 2) - lgammafn((freedom - i) / 2);
    logs += log(kappa + spectrum[i]);
    shift += gap[i] / (kappa + spectrum[i]);
  }
  return gammas + d * freedom / 2 * log(kappa) + d / 2.0 * log(kappa / (kappa + n)) -
         (freedom + n) / 2 * (logs + log1p(kappa * n / (kappa + n) * shift));
}

double shrinkage_evidence(const shrinkage_problem *p, double kappa) {
  double sum = 0;
  for (int g = 0; g < p->n_sets; g++)
    sum += set_evidence(p, g, kappa);
  return sum;
}

static double set_slope(const shrinkage_problem *p, int g, double kappa) {
  int d = p->d;
  const double *spectrum = p->spectrum + (size_t)g * (size_t)d,
               *gap = p->gap + (size_t)g * (size_t)d;
  double n = p->rows[g], freedom = kappa + d + 1;
  double gammas = 0, logs = 0, shift = 0, inverses = 0, shift_slope = 0;
  for (int i = 0; i < d; i++) {
    double inverse = 1 / (kappa + spectrum[i]);
    gammas += digamma((freedom + n - i) / 2) - digamma((freedom - i) / 2);
    logs += log1p(spectrum[i] / kappa); /* the logarithm of kappa cancels */
    inverses += inverse;
    shift += gap[i] * inverse;
    shift_slope -= gap[i] * inverse * inverse;
  }
  double weight = kappa * n / (kappa + n), weight_slope = n * n / ((kappa + n) * (kappa + n));
  double tail = (weight_slope * shift + weight * shift_slope) / (1 + weight * shift);
  return gammas / 2 + d * freedom / (2 * kappa) + d / 2.0 * (1 / kappa - 1 / (kappa + n)) -
         (logs + log1p(weight * shift)) / 2 - (freedom + n) / 2 * (inverses + tail);
}

double shrinkage_slope(const shrinkage_problem *p, double kappa) {
  double sum = 0;
  for (int g = 0; g < p->n_sets; g++)
    sum += set_slope(p, g, kappa);
  return kappa * sum;
}

/* The zero of the slope between lo (slope positive) and hi (negative), in log kappa: secants, and
 * halves where they do not shrink the interval. */
static double zero_slope(const shrinkage_problem *p, double lo, double hi) {
  double at[] = {log(lo), log(hi)};
  double slope[] = {shrinkage_slope(p, lo), shrinkage_slope(p, hi)};
  int stuck = 0, last = -1; /* the end that moved last, and for how many steps */
  if (!(slope[0] > 0) || !(slope[1] < 0))
    return NAN;
  for (int step = 0; step < MAX_STEPS && at[1] - at[0] > TOL; step++) {
    double share = slope[0] / (slope[0] - slope[1]);
    double middle = at[0] + (stuck > 1 ? 0.5 : share) * (at[1] - at[0]);
    double found = shrinkage_slope(p, exp(middle));
    int end = found > 0 ? 0 : 1;
    if (found == 0 || middle <= at[0] || middle >= at[1])
      return exp(middle);
    stuck = end == last && stuck <= 1 ? stuck + 1 : 0;
    last = end;
    at[end] = middle;
    slope[end] = found;
  }
  return exp((at[0] + at[1]) / 2);
}

double shrinkage_kappa(const shrinkage_problem *p) {
  double most = 1, best_value = -INFINITY, kappa[GRID];
  int best = 0;
  for (int g = 0; g < p->n_sets; g++)
    most = fmax(most, p->rows[g]);
  double ratio = pow(MOST_ROWS * most / LEAST, 1.0 / (GRID - 1));
  for (int k = 0; k < GRID; k++) {
    kappa[k] = k ? kappa[k - 1] * ratio : LEAST;
    double value = shrinkage_evidence(p, kappa[k]);
    if (value > best_value) {
      best_value = value;
      best = k;
    }
  }
  double zero =
      zero_slope(p, kappa[best > 0 ? best - 1 : 0], kappa[best < GRID - 1 ? best + 1 : GRID - 1]);
  return isnan(zero) ? kappa[best] : zero;
}
