#include "edge_loss.h"

#include "additive.h"

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
      .theta = alloc(m, sizeof(double)),
      .scratch = alloc(m, sizeof(double)),
      .kept = alloc(d, sizeof(int)),
      .lambda = alloc(d, sizeof(double))};
  return w;
}

/* The parents but k (k < 0: all), and their coefficients; one, a constant, where none is left. */
static void keep_parents(edge_loss_work *w, const drawn_mechanism *m, int k) {
  w->n_kept = 0;
  for (int q = 0; q < m->n_parents; q++)
    if (q != k) {
      w->lambda[w->n_kept] = m->lambda[q];
      w->kept[w->n_kept++] = q;
    }
  w->size = w->n_kept > 0 ? w->n_kept * w->table.n_basis : 1;
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

static void add_draw(edge_loss_work *w, double z, double weight) {
  const additive_sums sums = {w->size, w->table.n_basis, w->gram, w->rhs};
  const additive_basis basis = {w->first, w->value};
  w->mass += weight;
  w->square += weight * z * z;
  if (w->n_kept > 0) {
    additive_add(&sums, &basis, w->n_kept, w->kept, z, weight);
  } else {
    w->gram[0] += weight;
    w->rhs[0] += weight * z;
  }
}

/* Coefficients, variance and effective degrees of freedom from the normal equations. */
static int solve(edge_loss_work *w) {
  int size = w->size;
  memcpy(w->inverse, w->gram, (size_t)size * (size_t)size * sizeof(double));
  additive_penalise(&w->penalty, w->n_kept, w->lambda, JITTER * w->mass, w->inverse);
  if (additive_solve(size, w->inverse, w->rhs, w->theta, 1) != STATUS_OK)
    return STATUS_SINGULAR;
  double v = additive_residual(size, w->gram, w->rhs, w->square, w->theta, w->scratch) / w->mass;
  w->df = 0;
  for (int col = 0; col < size; col++)
    for (int row = col; row < size; row++) {
      size_t g = (size_t)row + (size_t)col * (size_t)size;
      w->df += (row > col ? 2 : 1) * w->inverse[g] * w->gram[g];
    }
  w->variance = v > w->variance_floor ? v : w->variance_floor;
  return STATUS_OK;
}

static void clear(edge_loss_work *w) {
  memset(w->gram, 0, (size_t)w->size * (size_t)w->size * sizeof(double));
  memset(w->rhs, 0, (size_t)w->size * sizeof(double));
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
  keep_parents(w, m, k);
  for (int step = 0; step <= EM_STEPS; step++, poll()) {
    double total = 0;
    clear(w);
    for (size_t i = 0; i < l->n; i++) {
      if (l->targets[l->env[i] - 1 + m->node * l->n_domains] != m->state)
        continue;
      total += row_weights(w, m, k, i, step == 0);
      for (int s = 0; s < l->n_draws; s++) {
        fill_basis(w, m, i, s);
        add_draw(w, draw_of(l, i, m->node, s), w->weight[s]);
      }
    }
    if (step > 0)
      now = total;
    if (step > 1 && now - before < ENOUGH)
      break;
    before = now;
    if (solve(w) != STATUS_OK)
      return NAN;
  }
  *df = w->df;
  return -now;
}
