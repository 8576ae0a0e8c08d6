#include "noise.h"

#include "elementary.h"

#include <math.h>

static const double PSEUDO_ROWS = 5; /* of each component: none is ever empty */

noise_mixture noise_mixture_new(int components, int n_cells, allocator alloc) {
  size_t size = (size_t)components * (size_t)n_cells;
  noise_mixture m = {components, alloc(size, sizeof(double)), alloc(size, sizeof(double)),
                     alloc(size, sizeof(double)), alloc(size, sizeof(double))};
  for (size_t g = 0; g < size; g++) {
    m.weight[g] = 1.0 / components;
    m.mean[g] = 0;
    m.variance[g] = 1;
    m.height[g] = log(m.weight[g]);
  }
  return m;
}

void noise_heights(noise_mixture *m, int c) {
  for (int g = m->n * c; g < m->n * (c + 1); g++)
    m->height[g] = log(m->weight[g]) - 0.5 * log(m->variance[g]);
}

void noise_split(noise_mixture *m, int c, double variance) {
  for (int s = 0; s < m->n; s++) {
    int g = m->n * c + s;
    double place = (2.0 * s - (m->n - 1)) / m->n; /* from -1 to 1, 0 on average */
    m->weight[g] = 1.0 / m->n;
    m->mean[g] = 0.5 * place * sqrt(variance);
    m->variance[g] = (1 + 0.75 * place) * variance;
  }
  noise_heights(m, c);
}

/* Log densities of component s, up to what the components have in common; `highest` so far. */
WIDE_VECTORS static void component_heights(const noise_mixture *m, int s, const int *restrict cell,
                                           const double *restrict u, int rows,
                                           double *restrict height, double *restrict highest) {
  int n = m->n;
  const double *restrict mean = m->mean + s, *restrict variance = m->variance + s;
  const double *restrict top = m->height + s;
  SIMD for (int i = 0; i < rows; i++) {
    int at = n * cell[i];
    double gap = u[i] - mean[at];
    height[i] = top[at] - 0.5 * gap * gap / variance[at];
    highest[i] = height[i] > highest[i] ? height[i] : highest[i];
  }
}

WIDE_VECTORS static void component_densities(const double *restrict highest, int rows,
                                             double *restrict height, double *restrict total) {
  SIMD for (int i = 0; i < rows; i++) {
    double below = height[i] - highest[i];
    height[i] = exp_of(below > -700 ? below : -700);
    total[i] += height[i];
  }
}

/* A label moves on while more than the component's density is left; once it is not, what is left is
 * at most 0. */
WIDE_VECTORS static void pass_component(const double *restrict density, int rows,
                                        double *restrict left, int *restrict label) {
  SIMD for (int i = 0; i < rows; i++) {
    label[i] += left[i] > density[i] ? 1 : 0;
    left[i] -= density[i];
  }
}

void noise_labels(const noise_mixture *m, const int *cell, const double *u, const double *uniform,
                  int rows, int *label) {
  double density[MAX_COMPONENTS][BLOCK_ROWS], highest[BLOCK_ROWS], left[BLOCK_ROWS] = {0};
  for (int i = 0; i < rows; i++) {
    highest[i] = -INFINITY;
    label[i] = 0;
  }
  for (int s = 0; s < m->n; s++)
    component_heights(m, s, cell, u, rows, density[s], highest);
  for (int s = 0; s < m->n; s++)
    component_densities(highest, rows, density[s], left);
  for (int i = 0; i < rows; i++)
    left[i] *= uniform[i];
  for (int s = 0; s < m->n - 1; s++)
    pass_component(density[s], rows, left, label);
}

double noise_stepped(double value, double to, double step) {
  return step == 1 ? to : value + step * (to - value);
}

double noise_fit(noise_mixture *m, int c, const labelled_moments *moments, double step,
                 double floor, double *variance, int *floored) {
  double *weight = m->weight + m->n * c, *mean = m->mean + m->n * c;
  double *own = m->variance + m->n * c, rows = 0, sum = 0, square = 0, centre = 0;
  for (int s = 0; s < m->n; s++) {
    rows += moments->weight[s];
    sum += moments->sum[s];
    square += moments->square[s];
  }
  double overall = fmax(square / rows - sum * sum / (rows * rows), floor);
  for (int s = 0; s < m->n; s++) {
    double many = moments->weight[s] + PSEUDO_ROWS;
    weight[s] = many / (rows + PSEUDO_ROWS * m->n);
    mean[s] = moments->sum[s] / many;
    own[s] = noise_stepped(
        own[s], (moments->square[s] - mean[s] * moments->sum[s] + PSEUDO_ROWS * overall) / many,
        step);
    *floored += !(own[s] > floor);
    own[s] = own[s] > floor ? own[s] : floor;
    centre += weight[s] * mean[s];
  }
  *variance = 0;
  for (int s = 0; s < m->n; s++) {
    mean[s] -= centre;
    *variance += weight[s] * (own[s] + mean[s] * mean[s]);
  }
  noise_heights(m, c);
  return centre;
}
