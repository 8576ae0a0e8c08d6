/* Held-out score matching: the loss of a row of x, means over domains.
 *
 *   name       shape        content
 *   env        n            domain of each row, 1..M
 *   x          n x p        observations
 *   y          n x d        pseudo-latents O'x, or Lambda^-1 O'x (measurement_kind.h)
 *   score      n x d        s(y)
 *   divergence n            trace of the derivative of the score of O'x
 *   length     d x d        Lambda^2: y'length y = |O'x|^2; NULL for the identity
 *   noise      d x d        Lambda^-2: s'noise s = |score of O'x|^2; NULL for the identity
 *   value      n x columns  losses; NaN in rows that were not scored
 *   reference  n            subtracted from each column, or NULL
 *   weight     M            domain weights
 */
#include "compare.h"

#include "workspace.h"

#include <math.h>
#include <string.h>

/* out[i] += factor * v_i' form v_i for the rows from start on; v_i: row i of v (n x d). */
static void add_forms(const double *v, size_t n, int d, const double *form, size_t start, int rows,
                      double factor, double *out) {
  for (int j = 0; j < d; j++)
    for (int k = form ? 0 : j; k < (form ? d : j + 1); k++) {
      double weight = factor * (form ? form[j + k * d] : 1);
      const double *a = v + (size_t)j * n + start, *b = v + (size_t)k * n + start;
      for (int i = 0; i < rows; i++)
        out[i] += weight * a[i] * b[i];
    }
}

/* Where the model has density f(O'x) N(x - OO'x; 0, sigma2), the score of x is
 * eta O s - (x - OO'x) / sigma2, eta damping s as in (4.4); its loss |score|^2 / 2 + divergence is
 * a sum of the latents' part and of that of the p - d other dimensions. */
void compare_row_losses(const scored_rows *r, double *loss, double *latent) {
  double precision = 1 / r->sigma2, other = (double)(r->p - r->d) * precision;
  for (size_t start = 0; start < r->n; start += BLOCK_ROWS) {
    int rows = r->n - start < BLOCK_ROWS ? (int)(r->n - start) : BLOCK_ROWS;
    double across[BLOCK_ROWS] = {0}; /* |x|^2 - |O'x|^2 */
    double *part = latent + start;
    add_forms(r->x, r->n, r->p, NULL, start, rows, 1, across);
    add_forms(r->y, r->n, r->d, r->length, start, rows, -1, across);
    for (int i = 0; i < rows; i++)
      part[i] = r->eta * r->divergence[start + (size_t)i];
    add_forms(r->score, r->n, r->d, r->noise, start, rows, 0.5 * r->eta * r->eta, part);
    for (int i = 0; i < rows; i++)
      loss[start + (size_t)i] = part[i] + 0.5 * fmax(across[i], 0) * precision * precision - other;
  }
}

/* sum_e w_e mean_e and its standard error, rows being independent draws within their domains:
 * sqrt(sum_e w_e^2 var_e / N_e). Domains without scored rows are left out of the weights. */
static void column_mean(const double *value, size_t n, const double *reference, const int *env,
                        const double *weight, int n_domains, double *work, double *mean,
                        double *se) {
  double *count = work, *sum = work + n_domains, *square = work + 2 * n_domains;
  double total = 0, variance = 0, weights = 0;
  memset(work, 0, 3 * (size_t)n_domains * sizeof(double));
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < n; i++) {
      double v = value[i] - (reference ? reference[i] : 0);
      int e = env[i] - 1;
      if (isnan(v))
        continue;
      if (pass == 0) {
        count[e]++;
        sum[e] += v;
      } else
        square[e] += (v - sum[e]) * (v - sum[e]);
    }
    for (int e = 0; pass == 0 && e < n_domains; e++)
      sum[e] /= count[e] > 0 ? count[e] : 1;
  }
  for (int e = 0; e < n_domains; e++)
    if (count[e] > 0) {
      weights += weight[e];
      total += weight[e] * sum[e];
      variance += weight[e] * weight[e] * square[e] / fmax(count[e] - 1, 1) / count[e];
    }
  *mean = total / weights;
  *se = sqrt(variance) / weights;
}

void compare_domain_means(const double *value, size_t n, int columns, const double *reference,
                          const int *env, const double *weight, int n_domains, double *work,
                          double *mean, double *se) {
  for (int k = 0; k < columns; k++)
    column_mean(value + (size_t)k * n, n, reference, env, weight, n_domains, work, mean + k,
                se + k);
}
