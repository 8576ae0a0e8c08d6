#include "rotation.h"

#include "linalg.h"
#include "line_search.h"
#include "regression.h"
#include "rng.h"

#include <math.h>
#include <string.h>

enum { GRID = 24, GOLDEN_STEPS = 30 };

static const regression_limit none_too_small = {0, NULL};

rotation_work rotation_work_new(const rotation_problem *p, allocator alloc) {
  size_t d = (size_t)p->d;
  rotation_work w = {alloc((size_t)p->n_cells * d * d, sizeof(double)),
                     alloc(d * d, sizeof(double)), alloc(d, sizeof(double))};
  return w;
}

/* A turn by an angle in the plane of coordinates a and b. */
typedef struct {
  int a, b;
  double c, s;
} turn;

/* Entry (u, v) of the covariance after a turn: coordinate a becomes c e_a + s e_b, and so on. */
static double turned_entry(const double *cov, int d, const turn *t, int u, int v) {
  int at[2] = {u, v}, other[2] = {u, v};
  double stay[2] = {1, 1}, move[2] = {0, 0}, sum = 0;
  for (int k = 0; k < 2; k++)
    if (at[k] == t->a || at[k] == t->b) {
      other[k] = at[k] == t->a ? t->b : t->a;
      stay[k] = t->c;
      move[k] = at[k] == t->a ? t->s : -t->s;
    }
  sum += stay[0] * stay[1] * cov[at[0] + at[1] * d];
  sum += stay[0] * move[1] * cov[at[0] + other[1] * d];
  sum += move[0] * stay[1] * cov[other[0] + at[1] * d];
  sum += move[0] * move[1] * cov[other[0] + other[1] * d];
  return sum;
}

static double cell_value(const rotation_problem *p, rotation_work *w, int cell, const turn *t) {
  const rotation_cell *c = &p->cell[cell];
  const double *cov = w->cov + (size_t)cell * (size_t)p->d * (size_t)p->d;
  int k = c->n_coord;
  for (int i = 0; i < k; i++) /* parents first, the node last */
    for (int j = 0; j <= i; j++)
      w->small[i * k + j] =
          turned_entry(cov, p->d, t, c->coord[(i + 1) % k], c->coord[(j + 1) % k]);
  double v = regression_last(w->small, k, none_too_small, NULL, NULL);
  return c->weight / 2 * log(v > p->variance_floor ? v : p->variance_floor);
}

static int touches(const rotation_cell *c, int a, int b) {
  for (int k = 0; k < c->n_coord; k++)
    if (c->coord[k] == a || c->coord[k] == b)
      return 1;
  return 0;
}

/* A plane of a problem: what the line search turns in. */
typedef struct {
  const rotation_problem *p;
  rotation_work *w;
  int a, b;
} plane;

/* The part of F that a turn in the plane changes. */
static double plane_value(double angle, void *context) {
  const plane *at = context;
  turn t = {at->a, at->b, cos(angle), sin(angle)};
  double sum = 0;
  for (int k = 0; k < at->p->n_cells; k++)
    if (touches(&at->p->cell[k], at->a, at->b))
      sum += cell_value(at->p, at->w, k, &t);
  return sum;
}

/* Columns a and b of m (rows x d) after the turn. */
static void turn_columns(double *m, int rows, const turn *t) {
  for (int i = 0; i < rows; i++) {
    double u = m[i + t->a * rows], v = m[i + t->b * rows];
    m[i + t->a * rows] = t->c * u + t->s * v;
    m[i + t->b * rows] = -t->s * u + t->c * v;
  }
}

static void turn_all(const rotation_problem *p, rotation_work *w, double *r, const turn *t) {
  int d = p->d;
  turn_columns(r, d, t);
  for (int k = 0; k < p->n_cells; k++) {
    double *cov = w->cov + (size_t)k * (size_t)d * (size_t)d;
    turn_columns(cov, d, t);
    for (int j = 0; j < d; j++) { /* the same turn of rows a and b */
      double u = cov[t->a + j * d], v = cov[t->b + j * d];
      cov[t->a + j * d] = t->c * u + t->s * v;
      cov[t->b + j * d] = -t->s * u + t->c * v;
    }
  }
}

/* The best angle in a plane: a grid over half a turn (signs are ties), then golden section. */
static double best_angle(plane *at, double *value) {
  const double step = M_PI / GRID;
  double best = 0, least = INFINITY;
  for (int k = 0; k < GRID; k++) {
    double f = plane_value(k * step, at);
    if (f < least) {
      least = f;
      best = k * step;
    }
  }
  return line_search_golden(plane_value, at, best - step, best + step, GOLDEN_STEPS, value);
}

/* Covariances of all cells in the coordinates R'y. */
static void rotate_covariances(const rotation_problem *p, rotation_work *w, const double *r) {
  int d = p->d;
  for (int k = 0; k < p->n_cells; k++) {
    double *out = w->cov + (size_t)k * (size_t)d * (size_t)d;
    for (int i = 0; i < d; i++) {
      for (int l = 0; l < d; l++) {
        w->row[l] = 0;
        for (int m = 0; m < d; m++)
          w->row[l] += r[m + i * d] * p->cell[k].cov[m + l * d];
      }
      for (int j = 0; j < d; j++) {
        double sum = 0;
        for (int l = 0; l < d; l++)
          sum += w->row[l] * r[l + j * d];
        out[i + j * d] = sum;
      }
    }
  }
}

double rotation_objective(const rotation_problem *p, rotation_work *w, const double *r) {
  const turn none = {0, 0, 1, 0};
  double sum = 0;
  rotate_covariances(p, w, r);
  for (int k = 0; k < p->n_cells; k++)
    sum += cell_value(p, w, k, &none);
  return sum;
}

double rotation_descend(const rotation_problem *p, rotation_work *w, double *r, double tol,
                        int max_sweeps, void (*poll)(void)) {
  double value = rotation_objective(p, w, r);
  for (int sweep = 0; sweep < max_sweeps; sweep++) {
    double gain = 0;
    for (int a = 0; a < p->d; a++, poll())
      for (int b = a + 1; b < p->d; b++) {
        plane at = {p, w, a, b};
        double after, before = plane_value(0, &at), angle = best_angle(&at, &after);
        if (after >= before)
          continue;
        turn t = {a, b, cos(angle), sin(angle)};
        turn_all(p, w, r, &t);
        gain += before - after;
      }
    value = rotation_objective(p, w, r); /* afresh: plane rotations add up rounding */
    if (gain < tol * fabs(value))
      break;
  }
  return value;
}

void rotation_rises(const rotation_problem *p, rotation_work *w, const double *r, double angle,
                    double *rise) {
  size_t d = (size_t)p->d;
  memset(rise, 0, d * d * sizeof(double));
  rotate_covariances(p, w, r);
  for (int b = 0; b < p->d; b++)
    for (int a = 0; a < b; a++) {
      plane at = {p, w, a, b};
      double least = fmin(plane_value(-angle, &at), plane_value(angle, &at));
      rise[(size_t)a + (size_t)b * d] = least - plane_value(0, &at);
    }
}

void rotation_random(double *r, int d, uint64_t seed, uint32_t start, double *normals) {
  rng_normals(seed, start, 0, normals, (size_t)d * (size_t)d);
  memcpy(r, normals, (size_t)d * (size_t)d * sizeof(double));
  linalg_orthonormalize(r, d);
}
