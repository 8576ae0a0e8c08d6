#include "draw_ratio.h"

#include <math.h>

enum { ROWS_BETWEEN_POLLS = 1024 };

/* E[z_j | parents] in the latent's state. */
static double expected(const bspline_table *t, const spline_prior *p, int j, int cell,
                       const double *z) {
  const double *theta = p->theta[cell];
  double sum = 0, value[ORDER];
  if (!theta)
    return p->constant[cell];
  for (int k = 0; k < p->n_parents[j]; k++, theta += t->n_basis) {
    int i = p->parent[j][k];
    const double *range = p->range + 2 * i;
    int first = bspline_at(t, range[0], (t->knots - 1) / (range[1] - range[0]), z[i], value, NULL);
    for (int f = 0; f < ORDER; f++)
      sum += theta[first + f] * value[f];
  }
  return sum;
}

/* log p(z) in domain e, less what all priors have. */
static double log_density(const prior_draws *l, const bspline_table *t, const spline_prior *p,
                          int e, const double *z) {
  double sum = 0;
  for (int j = 0; j < l->d; j++) {
    int cell = 2 * j + p->targets[e + j * l->n_domains];
    double left = z[j] - expected(t, p, j, cell, z), v = p->variance[cell];
    sum -= (log(v) + left * left / v) / 2;
  }
  return sum;
}

static double log_mean_exp(const double *x, int n) {
  double top = -INFINITY, sum = 0;
  for (int s = 0; s < n; s++)
    top = fmax(top, x[s]);
  for (int s = 0; s < n; s++)
    sum += exp(x[s] - top);
  return top + log(sum / n);
}

double draw_ratio(const prior_draws *l, const bspline_table *table, const spline_prior *from,
                  const spline_prior *to, const double *turn, double *scratch, void (*poll)(void)) {
  size_t d = (size_t)l->d;
  double total = 0, *z = scratch, *turned = z + d, *ratio = turned + d;
  for (size_t i = 0; i < l->n; i++) {
    int e = l->env[i] - 1;
    for (int s = 0; s < l->n_draws; s++) {
      for (size_t j = 0; j < d; j++)
        z[j] = l->draws[i + (j + (size_t)s * d) * l->n];
      for (size_t j = 0; j < d; j++) {
        turned[j] = 0;
        for (size_t k = 0; k < d; k++)
          turned[j] += turn[j + k * d] * z[k];
      }
      ratio[s] = log_density(l, table, to, e, turned) - log_density(l, table, from, e, z);
    }
    total += log_mean_exp(ratio, l->n_draws);
    if (i % ROWS_BETWEEN_POLLS == 0)
      poll();
  }
  return total;
}
