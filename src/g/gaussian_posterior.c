#include "gaussian_posterior.h"

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
static void add_node(const linear_scm *m, int node, int state, gaussian_posterior *out) {
  int cell = graph_cell(&m->graph, node, state), d = m->graph.d;
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

int gaussian_posterior_of(const linear_scm *m, const int *states, int stride, const double *gram,
                          double sigma2, gaussian_posterior *out) {
  int d = m->graph.d, info;
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
