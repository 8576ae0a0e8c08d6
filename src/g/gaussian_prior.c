#include "gaussian_prior.h"

#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

gaussian_posterior gaussian_posterior_new(int d, allocator alloc) {
  size_t square = (size_t)d * (size_t)d;
  gaussian_posterior g = {.shift = alloc((size_t)d, sizeof(double)),
                          .covariance = alloc(square, sizeof(double)),
                          .root = alloc(square, sizeof(double))};
  return g;
}

/* root += r r' / v and shift += r b / v, r the unit vector of the node less its slopes. */
static void add_node(const linear_prior *m, int node, int state, gaussian_posterior *out) {
  int cell = graph_cell(&m->graph, node, state), d = m->d;
  int size = 1 + graph_acting(&m->graph, node, state);
  const int *coord = m->graph.family[node];
  const double *slope = m->slope + (size_t)cell * (size_t)d;
  double v = m->variance[cell], b = m->intercept[cell];
  for (int k = 0; k < size; k++) {
    double left = k == 0 ? 1 : -slope[coord[k]];
    out->shift[coord[k]] += left * b / v;
    for (int l = 0; l < size; l++)
      out->root[coord[k] + coord[l] * d] += left * (l == 0 ? 1 : -slope[coord[l]]) / v;
  }
  out->log_det -= log(v);
  out->square += b * b / v;
}

int gaussian_posterior_of(const linear_prior *m, const int *states, int stride, const double *gram,
                          double sigma2, gaussian_posterior *out) {
  int d = m->d, info;
  size_t square = (size_t)d * (size_t)d;
  memset(out->shift, 0, (size_t)d * sizeof(double));
  for (size_t g = 0; g < square; g++)
    out->root[g] = gram[g] / sigma2;
  out->log_det = out->square = 0;
  for (int j = 0; j < d; j++)
    add_node(m, j, states[j * stride], out);
  F77_CALL(dpotrf)("L", &d, out->root, &d, &info FCONE);
  if (info != 0)
    return STATUS_NOT_FINITE;
  for (int j = 0; j < d; j++)
    out->log_det -= 2 * log(out->root[j + j * d]);
  memcpy(out->covariance, out->root, square * sizeof(double));
  F77_CALL(dpotri)("L", &d, out->covariance, &d, &info FCONE);
  for (int j = 0; j < d; j++)
    for (int k = 0; k < j; k++)
      out->covariance[k + j * d] = out->covariance[j + k * d];
  return info == 0 ? STATUS_OK : STATUS_NOT_FINITE;
}

regression_work regression_work_new(int d, allocator alloc) {
  size_t square = (size_t)d * (size_t)d;
  regression_work w = {alloc((size_t)d, sizeof(double)), alloc(square, sizeof(double)),
                       alloc(square, sizeof(double)), alloc((size_t)d, sizeof(double))};
  return w;
}

/* Mean and covariance of a family (size coordinates, the node first) over the groups in a state;
 * returns their weight. */
static double pool_family(const linear_prior *m, int node, int state, int size,
                          const latent_moments *group, int n_groups, regression_work *w) {
  const int *coord = m->graph.family[node];
  double weight = 0;
  memset(w->mean, 0, (size_t)size * sizeof(double));
  memset(w->cov, 0, (size_t)(size * size) * sizeof(double));
  for (int g = 0; g < n_groups; g++) {
    if (group[g].states[node * group[g].stride] != state)
      continue;
    weight += group[g].weight;
    for (int k = 0; k < size; k++) {
      w->mean[k] += group[g].weight * group[g].mean[coord[k]];
      for (int l = 0; l < size; l++)
        w->cov[k + l * size] += group[g].weight * group[g].second[coord[k] + coord[l] * m->d];
    }
  }
  for (int k = 0; k < size && weight > 0; k++)
    w->mean[k] /= weight;
  for (int k = 0; k < size * size && weight > 0; k++)
    w->cov[k] = w->cov[k] / weight - w->mean[k % size] * w->mean[k / size];
  return weight;
}

/* Regression of the first variable of the pooled family on the others. */
static int fit_cell(linear_prior *m, int node, int state, int size, regression_work *w) {
  int cell = graph_cell(&m->graph, node, state), parents = size - 1, one = 1, info = 0;
  double *slope = m->slope + (size_t)cell * (size_t)m->d;
  for (int k = 0; k < parents; k++) {
    w->slopes[k] = w->cov[k + 1];
    for (int l = 0; l < parents; l++)
      w->gram[k + l * parents] = w->cov[(k + 1) + (l + 1) * size];
  }
  if (parents > 0)
    F77_CALL(dposv)
  ("L", &parents, &one, w->gram, &parents, w->slopes, &parents, &info FCONE);
  if (info != 0)
    return STATUS_DEPENDENT;
  double v = w->cov[0], b = w->mean[0];
  for (int k = 0; k < parents; k++) {
    v -= w->slopes[k] * w->cov[k + 1];
    b -= w->slopes[k] * w->mean[k + 1];
    slope[m->graph.family[node][k + 1]] = w->slopes[k];
  }
  m->floored += !(v > m->variance_floor);
  m->variance[cell] = v > m->variance_floor ? v : m->variance_floor;
  m->intercept[cell] = b;
  return STATUS_OK;
}

int linear_prior_fit(linear_prior *m, const latent_moments *group, int n_groups,
                     regression_work *w) {
  for (int cell = 0; cell < graph_cells(&m->graph); cell++) {
    int node = graph_node(&m->graph, cell), state = graph_state(&m->graph, cell);
    int size = 1 + graph_acting(&m->graph, node, state);
    if (pool_family(m, node, state, size, group, n_groups, w) == 0)
      continue;
    int status = fit_cell(m, node, state, size, w);
    if (status != STATUS_OK)
      return status;
  }
  return STATUS_OK;
}
