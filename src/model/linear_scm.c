#include "linear_scm.h"

#include "regression.h"

#include <math.h>
#include <string.h>

/* A parent's residual variance given those before it, at least this share of the noise variance, or
 * it is left out. */
static const double COLLINEAR = 0.05;

linear_scm linear_scm_new(const causal_graph *g, allocator alloc) {
  size_t d = (size_t)g->d, cells = (size_t)graph_cells(g), coef = cells * d;
  linear_scm m = {.graph = *g,
                  .intercept = alloc(cells, sizeof(double)),
                  .variance = alloc(cells, sizeof(double)),
                  .slope = alloc(coef, sizeof(double)),
                  .work = alloc(linear_scm_work(g->d), sizeof(double))};
  for (size_t c = 0; c < cells; c++)
    m.intercept[c] = m.variance[c] = NAN; /* a state without rows */
  memset(m.slope, 0, coef * sizeof(double));
  return m;
}

size_t linear_scm_work(int d) {
  return (size_t)d * ((size_t)d + 3); /* mean, scale, slopes, covariance */
}

double linear_scm_doubles(double d, double n_states) {
  return n_states * d * (d + 2) + d * (d + 3);
}

/* Where the a-th of a family of q stands in its regression: parents first, the node last. */
static size_t place(size_t a, size_t q) {
  return a > 0 ? a - 1 : q - 1;
}

/* Mean (node first) and covariance (q x q, in the order of the regression) of a family over the
 * target sets in which its node has the state, less the noise; returns their weight. */
static double family_moments(const linear_scm *m, const group_moments *y, const double *noise,
                             double sigma2, int node, int state, double *mean, double *cov) {
  const causal_graph *graph = &m->graph;
  size_t d = (size_t)graph->d, q = 1 + (size_t)graph_acting(graph, node, state);
  const int *coord = graph->family[node];
  double weight = 0;
  memset(mean, 0, q * sizeof(double));
  memset(cov, 0, q * q * sizeof(double));
  for (size_t g = 0; g < (size_t)y->n_groups; g++) {
    if (y->targets[g + (size_t)node * (size_t)y->n_groups] != state)
      continue;
    const double *second = y->second + g * d * d;
    weight += y->weight[g];
    for (size_t a = 0; a < q; a++) {
      mean[a] += y->weight[g] * y->mean[(size_t)coord[a] + g * d];
      for (size_t b = 0; b < q; b++)
        cov[place(a, q) * q + place(b, q)] +=
            y->weight[g] * second[(size_t)coord[a] + (size_t)coord[b] * d];
    }
  }
  for (size_t a = 0; a < q; a++)
    mean[a] /= weight;
  for (size_t a = 0; a < q; a++)
    for (size_t b = 0; b < q; b++) {
      double unit = noise ? noise[(size_t)coord[a] + (size_t)coord[b] * d] : a == b;
      double *entry = cov + place(a, q) * q + place(b, q);
      *entry = *entry / weight - mean[a] * mean[b] - sigma2 * unit;
    }
  return weight;
}

static void fit_cell(linear_scm *m, const group_moments *y, const double *noise, double sigma2,
                     int node, int state) {
  const causal_graph *graph = &m->graph;
  size_t d = (size_t)graph->d, q = 1 + (size_t)graph_acting(graph, node, state);
  size_t at = (size_t)graph_cell(graph, node, state);
  const int *coord = graph->family[node];
  double *mean = m->work, *scale = mean + d, *slope = scale + d, *cov = slope + d;
  double weight = family_moments(m, y, noise, sigma2, node, state, mean, cov);
  if (!(weight > 0))
    return;
  for (size_t a = 1; a < q; a++)
    scale[a - 1] = noise ? noise[(size_t)coord[a] * (d + 1)] : 1;
  regression_limit limit = {COLLINEAR * sigma2, scale};
  double variance = regression_last(cov, (int)q, limit, slope, &m->left_out);
  int above = variance > m->variance_floor;
  m->floored += !above;
  m->variance[at] = above ? variance : m->variance_floor;
  m->intercept[at] = mean[0];
  for (size_t a = 1; a < q; a++) {
    m->intercept[at] -= slope[a - 1] * mean[a];
    m->slope[(size_t)coord[a] + d * at] = slope[a - 1];
  }
}

void linear_scm_fit(linear_scm *m, const group_moments *y, const double *noise, double sigma2) {
  for (int j = 0; j < m->graph.d; j++)
    for (int c = 0; c < m->graph.n_states; c++)
      fit_cell(m, y, noise, sigma2, j, c);
}

void linear_scm_moments(const linear_scm *m, const int *targets, int stride, double *mean,
                        double *cov) {
  const causal_graph *graph = &m->graph;
  size_t d = (size_t)graph->d;
  for (size_t at = 0; at < d; at++) {
    size_t j = (size_t)graph->order[at];
    int state = targets[j * (size_t)stride], q = 1 + graph_acting(graph, (int)j, state);
    size_t cell = (size_t)graph_cell(graph, (int)j, state);
    const int *coord = graph->family[j];
    const double *slope = m->slope + d * cell;
    mean[j] = m->intercept[cell];
    for (int a = 1; a < q; a++)
      mean[j] += slope[coord[a]] * mean[coord[a]];
    double variance = m->variance[cell];
    for (size_t before = 0; before < at; before++) {
      size_t k = (size_t)graph->order[before];
      double sum = 0;
      for (int a = 1; a < q; a++)
        sum += slope[coord[a]] * cov[(size_t)coord[a] + k * d];
      cov[j + k * d] = cov[k + j * d] = sum;
    }
    for (int a = 1; a < q; a++)
      variance += slope[coord[a]] * cov[(size_t)coord[a] + j * d];
    cov[j + j * d] = variance;
  }
}
