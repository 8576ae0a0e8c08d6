#include "noise.h"

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

int noise_label(const noise_mixture *m, int c, double u, double uniform) {
  const double *mean = m->mean + m->n * c, *variance = m->variance + m->n * c;
  const double *height = m->height + m->n * c;
  double density[MAX_COMPONENTS], highest = -INFINITY, total = 0;
  for (int s = 0; s < m->n; s++) {
    density[s] = height[s] - 0.5 * (u - mean[s]) * (u - mean[s]) / variance[s];
    highest = fmax(highest, density[s]);
  }
  for (int s = 0; s < m->n; s++)
    total += density[s] = exp(density[s] - highest);
  double left = uniform * total;
  int label = 0;
  while (label < m->n - 1 && left > density[label])
    left -= density[label++];
  return label;
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
