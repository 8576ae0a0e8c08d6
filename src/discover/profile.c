#include "profile.h"

#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

profile_work profile_work_new(const domain_summary *s, double floor, allocator alloc) {
  size_t d = (size_t)s->d, square = d * d;
  int steps = hypothesis_steps(s->d, s->general);
  profile_work w = {.summary = s,
                    .floor = floor,
                    .cell = alloc(2 * d, sizeof(profile_cell)),
                    .now = alloc(square, sizeof(double)),
                    .trial = alloc(square, sizeof(double)),
                    .pull = alloc(square, sizeof(double)),
                    .matrix = alloc(square, sizeof(double)),
                    .image = alloc(square, sizeof(double)),
                    .gram = alloc(square, sizeof(double)),
                    .slopes = alloc(d, sizeof(double)),
                    .residual = alloc(d, sizeof(double)),
                    .mean = alloc(d, sizeof(double)),
                    .pivot = alloc(d, sizeof(int)),
                    .scale = alloc((size_t)steps + 1, sizeof(double)),
                    .descent = group_descent_work_new(steps, alloc)};
  for (size_t k = 0; k < 2 * d; k++) {
    w.cell[k].cov = alloc(square, sizeof(double));
    w.cell[k].coord = alloc(d, sizeof(int));
  }
  return w;
}

void profile_set(profile_work *w, const hypothesis *h) {
  const domain_summary *s = w->summary;
  w->n_cells = 0;
  for (int j = 0; j < s->d; j++)
    for (int c = 0; c < 2; c++) {
      profile_cell *cell = &w->cell[w->n_cells];
      cell->weight = hypothesis_pooled(s, h, j, c, w->mean, cell->cov);
      if (cell->weight == 0)
        continue;
      int many = hypothesis_parents(s, h, j, c, cell->coord);
      cell->coord[many] = j;
      cell->n_coord = many + 1;
      w->n_cells++;
    }
}

/* out = m v, m symmetric (d x d). */
static void symmetric_times(const double *m, const double *v, int d, double *out) {
  for (int i = 0; i < d; i++) {
    double sum = 0;
    for (int k = 0; k < d; k++)
      sum += m[k + i * d] * v[k];
    out[i] = sum;
  }
}

static double inner(const double *a, const double *b, int d) {
  double sum = 0;
  for (int i = 0; i < d; i++)
    sum += a[i] * b[i];
  return sum;
}

/* A cell's part of F; adds its part of dF/dW to `pull`. */
static double cell_value(profile_work *w, const profile_cell *cell, const double *columns) {
  int d = w->summary->d, k = cell->n_coord;
  for (int i = 0; i < k; i++)
    symmetric_times(cell->cov, columns + cell->coord[i] * d, d, w->image + i * d);
  for (int i = 0; i < k; i++)
    for (int j = 0; j <= i; j++)
      w->gram[i * k + j] = inner(columns + cell->coord[i] * d, w->image + j * d, d);
  double v = regression_last(w->gram, k, hypothesis_collinear, w->slopes, NULL);
  const double *node = columns + cell->coord[k - 1] * d;
  symmetric_times(w->summary->noise, node, d, w->residual);
  double floor = w->floor * inner(w->residual, node, d);
  if (!(v > floor)) {
    w->floored++;
    return cell->weight / 2 * log(floor);
  }
  for (int i = 0; i < d; i++) {
    double r = w->image[i + (k - 1) * d];
    for (int l = 0; l < k - 1; l++)
      r -= w->slopes[l] * w->image[i + l * d];
    r *= cell->weight / v;
    w->pull[i + cell->coord[k - 1] * d] += r;
    for (int l = 0; l < k - 1; l++)
      w->pull[i + cell->coord[l] * d] -= w->slopes[l] * r;
  }
  return cell->weight / 2 * log(v);
}

/* log|det W|; -INFINITY if it is singular. */
static double log_determinant(profile_work *w, const double *columns) {
  int d = w->summary->d, info;
  double sum = 0;
  memcpy(w->matrix, columns, (size_t)d * (size_t)d * sizeof(double));
  F77_CALL(dgetrf)(&d, &d, w->matrix, &d, w->pivot, &info);
  for (int j = 0; j < d; j++)
    sum += log(fabs(w->matrix[j + j * d]));
  return sum;
}

double profile_value(profile_work *w, const double *columns, double *gradient) {
  const domain_summary *s = w->summary;
  int d = s->d;
  double value = 0, n = 0;
  memset(w->pull, 0, (size_t)d * (size_t)d * sizeof(double));
  w->floored = 0;
  for (int k = 0; k < w->n_cells; k++)
    value += cell_value(w, &w->cell[k], columns);
  for (int e = 0; e < s->n_domains && s->general; e++)
    n += s->n[e];
  if (s->general)
    value -= n * log_determinant(w, columns);
  if (gradient) {
    for (int k = 0; k < d; k++) /* X = W' dF/dW, less n I, which is on the diagonal */
      for (int j = 0; j < d; j++)
        w->matrix[j + k * d] = inner(columns + j * d, w->pull + k * d, d);
    hypothesis_gradient(w->matrix, d, s->general, gradient);
  }
  return value;
}

static double value_at_step(void *problem, const double *step, double *gradient) {
  profile_work *w = problem;
  hypothesis_moved(w->now, w->summary->d, w->summary->general, step, w->trial);
  return profile_value(w, w->trial, gradient);
}

static void keep_step(void *problem) {
  profile_work *w = problem;
  size_t d = (size_t)w->summary->d;
  memcpy(w->now, w->trial, d * d * sizeof(double));
}

double profile_descend(profile_work *w, double *columns, double tol, int max_iter, int *converged) {
  size_t d = (size_t)w->summary->d;
  int steps = hypothesis_steps(w->summary->d, w->summary->general);
  double n = 0;
  for (int e = 0; e < w->summary->n_domains; e++)
    n += w->summary->n[e];
  for (int g = 0; g < steps; g++)
    w->scale[g] = 0.1 / n;
  memcpy(w->now, columns, d * d * sizeof(double));
  group_descent_problem p = {steps, value_at_step, keep_step, w, tol, max_iter};
  double value = group_descent(&p, &w->descent, w->scale, converged);
  memcpy(columns, w->now, d * d * sizeof(double));
  profile_value(w, columns, NULL); /* `floored` is of the point that is kept */
  return value;
}
