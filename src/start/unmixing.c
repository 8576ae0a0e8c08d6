#include "unmixing.h"

#include "linalg.h"
#include "regression.h"

#include <R_ext/Applic.h>
#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

/* BFGS starts over from where it stopped, with a fresh Hessian. */
enum { RESTARTS = 3 };

static const regression_limit none_too_small = {0, NULL};

unmixing_work unmixing_work_new(const unmixing_problem *p, allocator alloc) {
  size_t d = (size_t)p->d, square = d * d;
  unmixing_work w = {.problem = p,
                     .lu = alloc(square, sizeof(double)),
                     .work = alloc(square, sizeof(double)),
                     .image = alloc(square, sizeof(double)),
                     .small = alloc(square, sizeof(double)),
                     .beta = alloc(d, sizeof(double)),
                     .residual = alloc(d, sizeof(double)),
                     .row = alloc(d, sizeof(double)),
                     .pivot = alloc(d, sizeof(int)),
                     .mask = alloc(square, sizeof(int))};
  for (size_t e = 0; e < square; e++)
    w.mask[e] = 1;
  return w;
}

static void times_vector(const double *a, const double *v, int d, double *out) {
  memset(out, 0, (size_t)d * sizeof(double));
  for (int k = 0; k < d; k++)
    for (int i = 0; i < d; i++)
      out[i] += a[i + k * d] * v[k];
}

/* r = w_j - sum_k beta_k w_k, in w->residual, and beta, for one cell. */
static void cell_residual(unmixing_work *w, const rotation_cell *c, const double *directions) {
  int d = w->problem->d, q = c->n_coord - 1, size = c->n_coord;
  for (int i = 0; i < size; i++) /* others first, the node last */
    times_vector(c->cov, directions + c->coord[(i + 1) % size] * d, d, w->image + i * d);
  for (int i = 0; i < size; i++)
    for (int j = 0; j <= i; j++)
      w->small[i * size + j] =
          linalg_dot(directions + c->coord[(i + 1) % size] * d, w->image + j * d, (size_t)d);
  regression_last(w->small, size, none_too_small, w->beta, NULL);
  memcpy(w->residual, directions + c->coord[0] * d, (size_t)d * sizeof(double));
  for (int i = 0; i < q; i++)
    for (int l = 0; l < d; l++)
      w->residual[l] -= w->beta[i] * directions[c->coord[i + 1] * d + l];
}

/* gradient column += f * v */
static void add_to(double *column, double f, const double *v, int d) {
  for (int i = 0; i < d; i++)
    column[i] += f * v[i];
}

/* n_jc / (2 n) log v_jc, and its part of the gradient. */
static double cell_value(unmixing_work *w, const rotation_cell *c, const double *directions,
                         double *gradient) {
  const unmixing_problem *p = w->problem;
  int d = p->d, node = c->coord[0];
  double share = c->weight / (2 * p->n);
  cell_residual(w, c, directions);
  times_vector(c->cov, w->residual, d, w->row);
  double v = linalg_dot(w->residual, w->row, (size_t)d);
  const double *own = directions + node * d;
  times_vector(p->noise, own, d, w->image);
  double least = p->variance_floor * linalg_dot(own, w->image, (size_t)d);
  if (!(v > least)) {
    if (gradient)
      add_to(gradient + node * d, 2 * share * p->variance_floor / least, w->image, d);
    return share * log(least);
  }
  if (gradient) {
    add_to(gradient + node * d, 2 * share / v, w->row, d);
    for (int i = 0; i < c->n_coord - 1; i++)
      add_to(gradient + c->coord[i + 1] * d, -2 * share * w->beta[i] / v, w->row, d);
  }
  return share * log(v);
}

/* log|det| of directions, and its gradient, the transposed inverse, in w->work. */
static double log_det(unmixing_work *w, const double *directions) {
  int d = w->problem->d, info;
  double sum = 0;
  memcpy(w->lu, directions, (size_t)d * (size_t)d * sizeof(double));
  F77_CALL(dgetrf)(&d, &d, w->lu, &d, w->pivot, &info);
  if (info != 0)
    return -INFINITY;
  for (int j = 0; j < d; j++)
    sum += log(fabs(w->lu[j + j * d]));
  memset(w->work, 0, (size_t)d * (size_t)d * sizeof(double));
  for (int j = 0; j < d; j++)
    w->work[j + j * d] = 1;
  F77_CALL(dgetrs)("T", &d, &d, w->lu, &d, w->pivot, w->work, &d, &info FCONE);
  return sum;
}

double unmixing_objective(unmixing_work *w, const double *directions, double *gradient) {
  const unmixing_problem *p = w->problem;
  size_t square = (size_t)p->d * (size_t)p->d;
  double value = -log_det(w, directions);
  if (!isfinite(value))
    return INFINITY;
  if (gradient)
    for (size_t e = 0; e < square; e++)
      gradient[e] = -w->work[e];
  for (int k = 0; k < p->n_cells; k++)
    value += cell_value(w, &p->cell[k], directions, gradient);
  return value;
}

static double bfgs_value(int size, double *directions, void *context) {
  (void)size;
  return unmixing_objective(context, directions, NULL);
}

static void bfgs_gradient(int size, double *directions, double *gradient, void *context) {
  unmixing_work *w = context;
  (void)size;
  unmixing_objective(w, directions, gradient);
  w->problem->poll();
}

/* Columns to length 1: F does not change, and BFGS sees numbers of one size. */
static void scale_columns(double *directions, int d) {
  for (int j = 0; j < d; j++) {
    double length = sqrt(linalg_dot(directions + j * d, directions + j * d, (size_t)d));
    for (int i = 0; i < d; i++)
      directions[i + j * d] /= length;
  }
}

double unmixing_descend(unmixing_work *w, double *directions, int max_iter, double tol,
                        int *converged) {
  int d = w->problem->d, size = d * d, values, gradients, failed = 1;
  double least = INFINITY, before = INFINITY;
  for (int run = 0; run <= RESTARTS; run++) {
    scale_columns(directions, d);
    vmmin(size, directions, &least, bfgs_value, bfgs_gradient, max_iter, 0, w->mask, -INFINITY, tol,
          1, w, &values, &gradients, &failed);
    if (!failed && before - least < tol * fabs(least))
      break;
    before = least;
  }
  scale_columns(directions, d);
  *converged = !failed;
  return least;
}
