#include "edge_loss.h"

#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

enum { EM_STEPS = 40 };
static const double JITTER = 1e-7; /* of the mass: constants of several parents are exchangeable */
static const double ENOUGH = 0.02; /* gain of a step, in log-likelihood, at which EM ends */

edge_loss_work edge_loss_work_new(const drawn_latents *latents, int knots, allocator alloc) {
  size_t d = (size_t)latents->d, m = d * (size_t)(knots + 2);
  edge_loss_work w = {
      .latents = latents,
      .table = bspline_table_fill(knots, alloc((size_t)bspline_table_size(knots), sizeof(double))),
      .penalty = penalty_new(PENALTY_DIFFERENCE, 2, knots, alloc),
      .first = alloc(d, sizeof(int)),
      .value = alloc(d * ORDER, sizeof(double)),
      .weight = alloc((size_t)latents->n_draws, sizeof(double)),
      .gram = alloc(m * m, sizeof(double)),
      .inverse = alloc(m * m, sizeof(double)),
      .rhs = alloc(m, sizeof(double)),
      .theta = alloc(m, sizeof(double))};
  return w;
}

/* Coefficients without parent k; one, a constant, where no parent is left. */
static int size_without(const edge_loss_work *w, const drawn_mechanism *m, int k) {
  int left = m->n_parents - (k >= 0);
  return left > 0 ? left * w->table.n_basis : 1;
}

static double draw_of(const drawn_latents *l, size_t row, int j, int s) {
  return l->draws[row + ((size_t)j + (size_t)s * (size_t)l->d) * l->n];
}

/* Basis functions of the parents at a draw. */
static void fill_basis(edge_loss_work *w, const drawn_mechanism *m, size_t row, int s) {
  const drawn_latents *l = w->latents;
  for (int q = 0; q < m->n_parents; q++) {
    const double *range = l->range + 2 * m->parent[q];
    double scale = (w->table.knots - 1) / (range[1] - range[0]);
    w->first[q] = bspline_at(&w->table, range[0], scale, draw_of(l, row, m->parent[q], s),
                             w->value + q * ORDER, NULL);
  }
}

/* E[z_j | parents] by coefficients of all parents but k (k < 0: of all). */
static double expected(const edge_loss_work *w, const drawn_mechanism *m, int k,
                       const double *theta) {
  double sum = 0;
  int block = 0;
  for (int q = 0; q < m->n_parents; q++) {
    if (q == k)
      continue;
    const double *c = theta + block++ * w->table.n_basis + w->first[q];
    for (int t = 0; t < ORDER; t++)
      sum += c[t] * w->value[q * ORDER + t];
  }
  return block > 0 ? sum : theta[0];
}

/* A draw into the normal equations without parent k. */
static void add_draw(edge_loss_work *w, const drawn_mechanism *m, int k, double z, double weight) {
  int size = size_without(w, m, k), n_basis = w->table.n_basis, block = 0;
  w->mass += weight;
  w->square += weight * z * z;
  if (size == 1) {
    w->gram[0] += weight;
    w->rhs[0] += weight * z;
    return;
  }
  for (int q = 0; q < m->n_parents; q++) {
    if (q == k)
      continue;
    int col = block++ * n_basis + w->first[q], other = 0;
    for (int t = 0; t < ORDER; t++)
      w->rhs[col + t] += weight * w->value[q * ORDER + t] * z;
    for (int r = 0; r <= q; r++) { /* lower triangle: rows are those of the later parent */
      if (r == k)
        continue;
      int at = other++ * n_basis + w->first[r];
      for (int u = 0; u < ORDER; u++)
        for (int t = 0; t < ORDER; t++)
          w->gram[(size_t)(col + t) + (size_t)(at + u) * (size_t)size] +=
              weight * w->value[q * ORDER + t] * w->value[r * ORDER + u];
    }
  }
}

static void penalise(edge_loss_work *w, const drawn_mechanism *m, int k, int size) {
  const penalty *p = &w->penalty;
  int block = 0;
  memcpy(w->inverse, w->gram, (size_t)size * (size_t)size * sizeof(double));
  if (size == 1)
    return;
  for (int q = 0; q < m->n_parents; q++) {
    if (q == k)
      continue;
    for (int i = 0; i < p->n_basis; i++) {
      size_t col = (size_t)(block * p->n_basis + i);
      for (int lag = 0; lag < 3 && i + lag < p->n_basis; lag++)
        w->inverse[col + (size_t)lag + col * (size_t)size] +=
            m->lambda[q] * p->gram[3 * i + lag];
      w->inverse[col + col * (size_t)size] += JITTER * w->mass;
    }
    block++;
  }
}

/* Coefficients, variance and effective degrees of freedom from the normal equations. */
static int solve(edge_loss_work *w, const drawn_mechanism *m, int k) {
  const int one = 1, size = size_without(w, m, k);
  int info;
  penalise(w, m, k, size);
  memcpy(w->theta, w->rhs, (size_t)size * sizeof(double));
  F77_CALL(dposv)("L", &size, &one, w->inverse, &size, w->theta, &size, &info FCONE);
  if (info == 0)
    F77_CALL(dpotri)("L", &size, w->inverse, &size, &info FCONE);
  if (info != 0)
    return STATUS_SINGULAR;
  double rss = w->square;
  w->df = 0;
  for (int col = 0; col < size; col++) {
    rss -= 2 * w->theta[col] * w->rhs[col];
    for (int row = col; row < size; row++) {
      size_t g = (size_t)row + (size_t)col * (size_t)size;
      int twice = row > col ? 2 : 1;
      rss += twice * w->theta[row] * w->theta[col] * w->gram[g];
      w->df += twice * w->inverse[g] * w->gram[g];
    }
  }
  double v = rss / w->mass;
  w->variance = v > w->variance_floor ? v : w->variance_floor;
  return STATUS_OK;
}

static void clear(edge_loss_work *w, int size) {
  memset(w->gram, 0, (size_t)size * (size_t)size * sizeof(double));
  memset(w->rhs, 0, (size_t)size * sizeof(double));
  w->mass = w->square = 0;
}

/* Weights of a row's draws under the mechanism without parent k (first: all equal); returns the
 * log of their mean. */
static double row_weights(edge_loss_work *w, const drawn_mechanism *m, int k, size_t row,
                          int first) {
  int draws = w->latents->n_draws;
  double top = -INFINITY, sum = 0;
  for (int s = 0; s < draws; s++) {
    w->weight[s] = 0;
    if (!first) {
      fill_basis(w, m, row, s);
      double z = draw_of(w->latents, row, m->node, s);
      double full = z - expected(w, m, -1, m->theta), less = z - expected(w, m, k, w->theta);
      w->weight[s] = full * full / (2 * m->variance) - less * less / (2 * w->variance) +
                     log(m->variance / w->variance) / 2;
    }
    top = fmax(top, w->weight[s]);
  }
  for (int s = 0; s < draws; s++)
    sum += w->weight[s] = exp(w->weight[s] - top);
  for (int s = 0; s < draws; s++)
    w->weight[s] /= sum;
  return top + log(sum / draws);
}

double edge_loss(edge_loss_work *w, const drawn_mechanism *m, int k, double *df,
                 void (*poll)(void)) {
  const drawn_latents *l = w->latents;
  double before = -INFINITY, now = -INFINITY;
  for (int step = 0; step <= EM_STEPS; step++, poll()) {
    double total = 0;
    clear(w, size_without(w, m, k));
    for (size_t i = 0; i < l->n; i++) {
      if (l->targets[l->env[i] - 1 + m->node * l->n_domains] != m->state)
        continue;
      total += row_weights(w, m, k, i, step == 0);
      for (int s = 0; s < l->n_draws; s++) {
        fill_basis(w, m, i, s);
        add_draw(w, m, k, draw_of(l, i, m->node, s), w->weight[s]);
      }
    }
    if (step > 0)
      now = total;
    if (step > 1 && now - before < ENOUGH)
      break;
    before = now;
    if (solve(w, m, k) != STATUS_OK)
      return NAN;
  }
  *df = w->df;
  return -now;
}
