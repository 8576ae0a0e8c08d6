#include "hypothesis.h"

#include "linalg.h"

#include <math.h>
#include <string.h>

int hypothesis_parents(const domain_summary *s, const hypothesis *h, int j, int c, int *parents) {
  int many = 0;
  if (c && s->perfect)
    return 0;
  for (int i = 0; i < s->d; i++)
    if (h->dag[i + j * s->d])
      parents[many++] = i;
  return many;
}

double hypothesis_pooled(const domain_summary *s, const hypothesis *h, int j, int c, double *mean,
                         double *cov) {
  size_t d = (size_t)s->d;
  double rows = 0;
  for (int e = 0; e < s->n_domains; e++)
    if (h->targets[e + j * s->n_domains] == c)
      rows += s->n[e];
  if (rows == 0)
    return 0;
  memset(mean, 0, d * sizeof(double));
  for (int e = 0; e < s->n_domains; e++)
    if (h->targets[e + j * s->n_domains] == c)
      for (size_t i = 0; i < d; i++)
        mean[i] += s->n[e] / rows * s->mean[i + (size_t)e * d];
  for (size_t g = 0; g < d * d; g++)
    cov[g] = -s->noise[g];
  for (int e = 0; e < s->n_domains; e++)
    if (h->targets[e + j * s->n_domains] == c) {
      const double *m = s->mean + (size_t)e * d, *v = s->cov + (size_t)e * d * d;
      for (size_t k = 0; k < d; k++)
        for (size_t i = 0; i < d; i++)
          cov[i + k * d] += s->n[e] / rows * (v[i + k * d] + (m[i] - mean[i]) * (m[k] - mean[k]));
    }
  return rows;
}

int hypothesis_parameters(const domain_summary *s, const hypothesis *h) {
  int total = 0;
  for (int j = 0; j < s->d; j++) {
    int parents = 0, seen[2] = {0, 0};
    for (int i = 0; i < s->d; i++)
      parents += h->dag[i + j * s->d] != 0;
    for (int e = 0; e < s->n_domains; e++)
      seen[h->targets[e + j * s->n_domains]] = 1;
    total += seen[0] * (2 + parents) + seen[1] * (2 + (s->perfect ? 0 : parents));
  }
  return total;
}

int hypothesis_steps(int d, int general) {
  return general ? d * (d - 1) : d * (d - 1) / 2;
}

static void add_columns(const double *b, int d, int general, const double *step, double *out) {
  memcpy(out, b, (size_t)d * (size_t)d * sizeof(double));
  int g = 0;
  for (int k = 0; k < d; k++)
    for (int j = 0; j < (general ? d : k); j++) {
      if (j == k)
        continue;
      double s = step[g++];
      for (int i = 0; i < d; i++) {
        out[i + k * d] += s * b[i + j * d];
        if (!general)
          out[i + j * d] -= s * b[i + k * d];
      }
    }
}

void hypothesis_moved(const double *b, int d, int general, const double *step, double *out) {
  add_columns(b, d, general, step, out);
  if (general)
    linalg_normalize(out, d);
  else
    linalg_orthonormalize(out, d);
}

void hypothesis_gradient(const double *x, int d, int general, double *gradient) {
  int g = 0;
  for (int k = 0; k < d; k++)
    for (int j = 0; j < (general ? d : k); j++)
      if (j != k)
        gradient[g++] = x[j + k * d] - (general ? 0 : x[k + j * d]);
}
