#include "group_descent.h"

#include "linalg.h"

#include <math.h>
#include <string.h>

enum { LINE_STEPS = 40 };

group_descent_work group_descent_work_new(int size, allocator alloc) {
  size_t m = (size_t)size;
  group_descent_work w = {.inverse = alloc(m * m, sizeof(double)),
                          .gradient = alloc(m, sizeof(double)),
                          .trial = alloc(m, sizeof(double)),
                          .direction = alloc(m, sizeof(double)),
                          .step = alloc(m, sizeof(double)),
                          .change = alloc(m, sizeof(double)),
                          .product = alloc(m, sizeof(double))};
  return w;
}

static void start_inverse(group_descent_work *w, const double *scale, int size) {
  memset(w->inverse, 0, (size_t)size * (size_t)size * sizeof(double));
  for (int i = 0; i < size; i++)
    w->inverse[(size_t)i * (size_t)(size + 1)] = scale[i];
}

static void inverse_times(const group_descent_work *w, const double *v, double *out, int size) {
  for (int i = 0; i < size; i++)
    out[i] = linalg_dot(w->inverse + (size_t)i * (size_t)size, v, (size_t)size);
}

/* A step along the direction with the weak conditions of Wolfe, by doubling and bisection; 0 if
 * there is none. `before` is the value at the present point. */
static double line_step(const group_descent_problem *p, group_descent_work *w, double before,
                        double *value) {
  size_t m = (size_t)p->size;
  double lo = 0, hi = INFINITY, t = 1, slope = linalg_dot(w->gradient, w->direction, m);
  for (int k = 0; k < LINE_STEPS; k++) {
    for (size_t i = 0; i < m; i++)
      w->step[i] = t * w->direction[i];
    *value = p->at(p->problem, w->step, w->trial);
    if (!(*value <= before + 1e-4 * t * slope))
      hi = t;
    else if (linalg_dot(w->trial, w->direction, m) < 0.9 * slope)
      lo = t;
    else
      return t;
    t = hi < INFINITY ? (lo + hi) / 2 : 2 * t;
  }
  if (lo == 0)
    return 0;
  for (size_t i = 0; i < m; i++) /* it goes on falling: the farthest point that was good */
    w->step[i] = lo * w->direction[i];
  *value = p->at(p->problem, w->step, w->trial);
  return lo;
}

/* The update of Broyden, Fletcher, Goldfarb and Shanno, left out where the curvature is not
 * positive. */
static void update_inverse(group_descent_work *w, int size) {
  size_t m = (size_t)size;
  for (size_t i = 0; i < m; i++)
    w->change[i] = w->trial[i] - w->gradient[i];
  double curvature = linalg_dot(w->change, w->step, m);
  if (!(curvature > 0))
    return;
  inverse_times(w, w->change, w->product, size);
  double factor = (1 + linalg_dot(w->change, w->product, m) / curvature) / curvature;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < m; j++)
      w->inverse[i * m + j] +=
          factor * w->step[i] * w->step[j] -
          (w->product[i] * w->step[j] + w->step[i] * w->product[j]) / curvature;
}

double group_descent(const group_descent_problem *p, group_descent_work *w, const double *scale,
                     int *converged) {
  size_t m = (size_t)p->size;
  memset(w->step, 0, m * sizeof(double));
  double value = p->at(p->problem, w->step, w->gradient);
  int fresh = 1;
  start_inverse(w, scale, p->size);
  *converged = 0;
  for (int k = 0; k < p->max_iter && !*converged; k++) {
    double after;
    inverse_times(w, w->gradient, w->direction, p->size);
    double promise = linalg_dot(w->gradient, w->direction, m) / 2;
    if (promise < p->tol) {
      *converged = 1;
      break;
    }
    for (size_t i = 0; i < m; i++)
      w->direction[i] = -w->direction[i];
    if (line_step(p, w, value, &after) == 0) {
      if (fresh)
        break;
      start_inverse(w, scale, p->size); /* the model of the Hessian has gone astray */
      fresh = 1;
      continue;
    }
    update_inverse(w, p->size);
    fresh = 0;
    p->keep(p->problem);
    memcpy(w->gradient, w->trial, m * sizeof(double));
    value = after;
  }
  return value;
}
