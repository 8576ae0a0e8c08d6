#include "mechanism.h"

#include "additive.h"
#include "family.h"
#include "vectorize.h"

#include <R_ext/Lapack.h>

#include <math.h>
#include <string.h>

static const double JITTER = 1e-7; /* of w: constants of several parents are exchangeable */
static const double LAMBDA_MIN = 1e-3;
static const double LAMBDA_MAX = 1e3; /* of w: as good as linear */
static const double LEAST_DF = 1e-3;
static const double MISSING_STEP = 0.2; /* at least: of an estimate of M in their mean */
static const double LESS_MISSING = 0.8; /* times M, where noise of its estimate exceeds G + P */
static const double MANY_ROWS = 1000;   /* from here on variances take whole steps */

enum { CURVE_INTERVALS_BEYOND = 2 }; /* linear pieces below and above the knots */

static size_t curve_size(int knots) {
  return (size_t)(knots - 1 + CURVE_INTERVALS_BEYOND) * ORDER;
}

/* The polynomials of an edge in a state of its child. */
static double *curve_of(const mechanisms *m, int edge, int state) {
  return m->curve + (size_t)(edge * m->graph.n_states + state) * curve_size(m->table.knots);
}

static void count_weights(const latent_sample *s, mechanism_cell *cell) {
  for (size_t i = 0; i < s->n; i++)
    for (int j = 0; j < s->d; j++)
      cell[row_cell(s, i, j)].weight += row_weight(s, i);
}

static size_t sums_of(const mechanism_cell *cell) {
  size_t m = (size_t)cell->n_coef;
  return m * m + m + 1;
}

double mechanism_stats_count(const causal_graph *g, int knots, int components) {
  double total = 0;
  for (int j = 0; j < g->d; j++) {
    double m = fmax(1, graph_parents(g, j) * (knots + 2.0));
    total += g->n_states * (m * m + m + 1);
  }
  return total * components;
}

mechanisms mechanisms_new(const latent_sample *s, const causal_graph *g, mechanism_settings set,
                          allocator alloc) {
  size_t d = (size_t)g->d, cells = (size_t)graph_cells(g), largest = 1,
         components = (size_t)set.components;
  size_t curves = (size_t)(g->n_edges * g->n_states);
  int knots = set.knots;
  mechanisms m = {.graph = *g,
                  .penalty = penalty_new(PENALTY_DIFFERENCE, 2, knots, alloc),
                  .learn_lambda = set.learn_lambda,
                  .pieces = set.pieces,
                  .cell = alloc(cells, sizeof(mechanism_cell)),
                  .constant = alloc(cells, sizeof(double)),
                  .variance = alloc(cells, sizeof(double)),
                  .listens = alloc(cells, sizeof(int)),
                  .range = alloc(2 * d, sizeof(double)),
                  .curve_range = alloc(2 * d, sizeof(double)),
                  .curve = alloc(curves * curve_size(knots) + 1, sizeof(double)), /* not NULL */
                  .noise = noise_mixture_new(set.components, graph_cells(g), alloc),
                  .variance_floor = set.variance_floor,
                  .variance_step = 1};
  m.table = bspline_table_fill(knots, alloc((size_t)bspline_table_size(knots), sizeof(double)));
  memset(m.cell, 0, cells * sizeof(mechanism_cell));
  for (int c = 0; c < graph_cells(g); c++) {
    mechanism_cell *cell = &m.cell[c];
    cell->parents = graph_acting(g, graph_node(g, c), graph_state(g, c));
    cell->n_coef = cell->parents ? cell->parents * m.table.n_basis : 1;
    cell->at = m.n_stats;
    cell->theta = alloc((size_t)cell->n_coef, sizeof(double));
    memset(cell->theta, 0, (size_t)cell->n_coef * sizeof(double));
    cell->lambda = alloc((size_t)(cell->parents * set.pieces) + 1, sizeof(double));
    for (int k = 0; k < cell->parents * set.pieces; k++)
      cell->lambda[k] = set.lambda;
    size_t size = (size_t)cell->n_coef;
    cell->missing = m.n_missing;
    m.n_missing += cell->parents > 0 ? size * size : 0;
    m.n_stats += components * sums_of(cell);
    largest = size > largest ? size : largest;
    m.listens[c] = cell->parents > 0;
    m.constant[c] = 0;
    m.variance[c] = 1;
  }
  count_weights(s, m.cell);
  m.work.inverse = alloc(largest * largest, sizeof(double));
  m.work.observed = alloc(largest * largest, sizeof(double));
  m.work.solution = alloc(largest, sizeof(double));
  m.missing = alloc(m.n_missing + 1, sizeof(double)); /* not NULL */
  memset(m.missing, 0, m.n_missing * sizeof(double));
  if (components > 1) {
    m.work.pooled = alloc(largest * largest + largest + 1, sizeof(double));
    m.work.basis_sum = alloc(largest * components, sizeof(double));
  }
  memset(m.curve, 0, curves * curve_size(knots) * sizeof(double));
  return m;
}

/* ---- curves -------------------------------------------------------------------------------- */

/* Cubic by interval, linear beyond: interval 0 lies below the knots, interval `knots` above. */
WIDE_VECTORS static void curve_values(const double *restrict curve, int stride, int knots,
                                      double lo, double scale, const int *restrict state,
                                      const double *restrict z, int rows, double *restrict out) {
  double top = knots;
  SIMD for (int i = 0; i < rows; i++) {
    double u = (z[i] - lo) * scale + 1, inside = u > 0 ? u : 0;
    int interval = (int)(inside < top ? inside : top);
    const double *c = curve + state[i] * stride + interval * ORDER;
    double t = u - interval;
    out[i] = ((c[3] * t + c[2]) * t + c[1]) * t + c[0];
  }
}

/* gradient += pull x slope of the curve at z. */
WIDE_VECTORS static void add_slopes(const double *restrict curve, int stride, int knots, double lo,
                                    double scale, const int *restrict state,
                                    const double *restrict z, const double *restrict pull, int rows,
                                    double *restrict gradient) {
  double top = knots;
  SIMD for (int i = 0; i < rows; i++) {
    double u = (z[i] - lo) * scale + 1, inside = u > 0 ? u : 0;
    int interval = (int)(inside < top ? inside : top);
    const double *c = curve + state[i] * stride + interval * ORDER;
    double t = u - interval;
    gradient[i] += pull[i] * scale * ((3 * c[3] * t + 2 * c[2]) * t + c[1]);
  }
}

void mechanism_gradient(const mechanisms *m, const latent_block *b, double *gradient) {
  const causal_graph *g = &m->graph;
  int knots = m->table.knots;
  size_t size = curve_size(knots);
  for (int at = 0; at < g->d * BLOCK_ROWS; at += BLOCK_ROWS)
    for (int i = at; i < at + b->rows; i++)
      gradient[i] = b->precision[i] * (b->mean[i] - b->z[i]);
  for (int edge = 0; edge < g->n_edges; edge++) {
    int at = g->child[edge] * BLOCK_ROWS, from = g->parent[edge] * BLOCK_ROWS;
    const double *range = m->curve_range + 2 * g->parent[edge];
    for (int i = 0; i < b->rows; i++)
      b->trial[i] = b->precision[at + i] * (b->z[at + i] - b->mean[at + i]);
    add_slopes(curve_of(m, edge, 0), (int)size, knots, range[0],
               (knots - 1) / (range[1] - range[0]), b->state + at, b->z + from, b->trial, b->rows,
               gradient + from);
  }
}

static void spline_effect(const void *context, int edge, const int *state, const double *z,
                          int rows, double *out) {
  const mechanisms *m = context;
  int knots = m->table.knots, parent = m->graph.parent[edge];
  const double *range = m->curve_range + 2 * parent;
  size_t size = curve_size(knots);
  curve_values(curve_of(m, edge, 0), (int)size, knots, range[0],
               (knots - 1) / (range[1] - range[0]), state, z, rows, out);
}

causal_prior mechanism_prior(const mechanisms *m) {
  causal_prior prior = {.graph = m->graph,
                        .effect = spline_effect,
                        .context = m,
                        .constant = m->constant,
                        .variance = m->variance,
                        .listens = m->listens,
                        .noise = m->noise.n > 1 ? &m->noise : NULL};
  return prior;
}

/* Polynomials of sum_g theta_g B_g on every interval, in u = position in units of the spacing. */
static void fill_curve(const bspline_table *t, const double *theta, double *curve) {
  int last = t->knots - 1;
  double *above = curve + (size_t)t->knots * ORDER;
  memset(curve, 0, curve_size(t->knots) * sizeof(double));
  for (int interval = 0; interval < last; interval++)
    for (int power = 0; power < ORDER; power++)
      for (int f = 0; f < ORDER; f++)
        curve[(size_t)(interval + 1) * ORDER + (size_t)power] +=
            theta[interval + f] * t->piece[(interval * ORDER + power) * ORDER + f];
  const double *lowest = curve + ORDER, *highest = curve + (size_t)last * ORDER;
  curve[0] = lowest[0] - lowest[1]; /* u = 0 is one spacing below the first knot */
  curve[1] = lowest[1];
  above[0] = highest[0] + highest[1] + highest[2] + highest[3];
  above[1] = highest[1] + 2 * highest[2] + 3 * highest[3];
}

void mechanism_curves(mechanisms *m) {
  memcpy(m->curve_range, m->range, 2 * (size_t)m->graph.d * sizeof(double));
  for (int edge = 0; edge < m->graph.n_edges; edge++) {
    int j = m->graph.child[edge], k = edge - m->graph.first_in[j];
    for (int state = 0; state < m->graph.n_states; state++) {
      const mechanism_cell *cell = &m->cell[graph_cell(&m->graph, j, state)];
      if (cell->parents > 0)
        fill_curve(&m->table, cell->theta + k * m->table.n_basis, curve_of(m, edge, state));
    }
  }
}

/* ---- statistics ---------------------------------------------------------------------------- */

mechanism_basis mechanism_basis_new(int d, allocator alloc) {
  mechanism_basis w = {alloc((size_t)d * BLOCK_ROWS, sizeof(int)),
                       alloc((size_t)d * BLOCK_ROWS * ORDER, sizeof(double))};
  return w;
}

/* Of all latents z (d x BLOCK_ROWS) that act on others. */
INLINE void fill_basis(const mechanisms *m, const mechanism_basis *w, const double *z, int rows) {
  for (int k = 0; k < m->graph.d; k++) {
    if (m->graph.first_out[k + 1] == m->graph.first_out[k])
      continue;
    const double *range = m->range + 2 * k;
    double scale = (m->table.knots - 1) / (range[1] - range[0]);
    for (int at = k * BLOCK_ROWS; at < k * BLOCK_ROWS + rows; at++)
      w->first[at] = bspline_at(&m->table, range[0], scale, z[at], w->value + at * ORDER, NULL);
  }
}

WIDE_VECTORS void mechanism_add(const mechanisms *m, const mechanism_basis *w,
                                const latent_sample *s, const latent_block *b, double *stats) {
  const causal_graph *g = &m->graph;
  const additive_basis basis = {w->first, w->value};
  int at[MAX_FAMILY];
  fill_basis(m, w, b->z, b->rows);
  for (int j = 0; j < g->d; j++)
    for (int i = 0; i < b->rows; i++) {
      const mechanism_cell *cell = &m->cell[graph_cell(g, j, b->state[j * BLOCK_ROWS + i])];
      size_t size = (size_t)cell->n_coef;
      double z = b->z[j * BLOCK_ROWS + i], weight = s->omega[b->domain[i]];
      double *gram = stats + cell->at + (size_t)b->label[j * BLOCK_ROWS + i] * sums_of(cell);
      double *rhs = gram + size * size;
      rhs[size] += weight * z * z;
      if (cell->parents > 0) {
        additive_sums sums = {cell->n_coef, m->table.n_basis, gram, rhs};
        for (int k = 0; k < cell->parents; k++)
          at[k] = g->parent[g->first_in[j] + k] * BLOCK_ROWS + i;
        additive_add(&sums, &basis, cell->parents, at, z, weight);
      } else {
        gram[0] += weight;
        rhs[0] += weight * z;
      }
    }
}

/* ---- missing information ------------------------------------------------------------------- */

mechanism_pair mechanism_pair_new(int d, allocator alloc) {
  size_t size = (size_t)d * BLOCK_ROWS;
  mechanism_pair pair = {.basis = mechanism_basis_new(d, alloc),
                         .z = alloc(size, sizeof(double)),
                         .residual = {alloc(size, sizeof(double)), alloc(size, sizeof(double))}};
  return pair;
}

/* z_j less the effects of its parents. */
static void residuals(const mechanisms *m, const latent_block *b, const double *z,
                      double *residual) {
  const causal_graph *g = &m->graph;
  memcpy(residual, z, (size_t)g->d * BLOCK_ROWS * sizeof(double));
  for (int edge = 0; edge < g->n_edges; edge++) {
    int at = g->child[edge] * BLOCK_ROWS;
    spline_effect(m, edge, b->state + at, z + g->parent[edge] * BLOCK_ROWS, b->rows, b->trial);
    for (int i = 0; i < b->rows; i++)
      residual[at + i] -= b->trial[i];
  }
}

/* v times the score of a row: its non-zero entries from `at` on. Returns where they end. */
static int score_entries(const mechanisms *m, const mechanism_basis *w, const mechanism_cell *cell,
                         const int *parent, int i, double factor, int at, int *index,
                         double *value) {
  for (int k = 0; k < cell->parents; k++) {
    int from = parent[k] * BLOCK_ROWS + i;
    for (int t = 0; t < ORDER; t++, at++) {
      index[at] = k * m->table.n_basis + w->first[from] + t;
      value[at] = factor * w->value[from * ORDER + t];
    }
  }
  return at;
}

/* Half the square of the difference of two scores has the covariance of one as its mean. */
static void add_square(const int *index, const double *value, int many, double factor, int size,
                       double *to) {
  for (int a = 0; a < many; a++) {
    double *column = to + (size_t)index[a] * (size_t)size, scaled = factor * value[a];
    for (int c = 0; c < many; c++)
      if (index[c] >= index[a])
        column[index[c]] += scaled * value[c];
  }
}

void mechanism_add_missing(const mechanisms *m, const mechanism_basis *w, mechanism_pair *lagged,
                           const latent_sample *s, const latent_block *b, double *missing) {
  const causal_graph *g = &m->graph;
  int index[2 * ORDER * MAX_FAMILY];
  double value[2 * ORDER * MAX_FAMILY];
  fill_basis(m, w, b->z, b->rows);
  fill_basis(m, &lagged->basis, lagged->z, b->rows);
  residuals(m, b, b->z, lagged->residual[0]);
  residuals(m, b, lagged->z, lagged->residual[1]);
  for (int j = 0; j < g->d; j++)
    for (int i = 0; i < b->rows; i++) {
      int at = j * BLOCK_ROWS + i, c = graph_cell(g, j, b->state[at]);
      const mechanism_cell *cell = &m->cell[c];
      const int *parent = g->parent + g->first_in[j];
      if (cell->parents == 0)
        continue;
      double weight = s->omega[b->domain[i]];
      int many = score_entries(m, w, cell, parent, i, lagged->residual[0][at], 0, index, value);
      many = score_entries(m, &lagged->basis, cell, parent, i, -lagged->residual[1][at], many,
                           index, value);
      add_square(index, value, many, 0.5 * weight * weight / m->variance[c], cell->n_coef,
                 missing + cell->missing);
    }
}

void mechanism_take_missing(mechanisms *m, const double *estimate) {
  double step = fmax(MISSING_STEP, 1.0 / ++m->estimates);
  for (size_t g = 0; g < m->n_missing; g++)
    m->missing[g] += step * (estimate[g] - m->missing[g]);
}

/* ---- the regression ------------------------------------------------------------------------ */

/* Second difference `row` of the coefficients of parent k is difference[3 row ..] times those from
 * k n_basis + row on. */
static double difference_of(const penalty *p, const double *theta, int row) {
  const double *c = p->difference + 3 * row;
  return c[0] * theta[row] + c[1] * theta[row + 1] + c[2] * theta[row + 2];
}

/* Its variance, for coefficients of covariance a (size x size, lower triangle). */
static double difference_variance(const penalty *p, const double *a, int size, int k, int row) {
  const double *c = p->difference + 3 * row;
  size_t first = (size_t)(k * p->n_basis + row);
  double sum = 0;
  for (size_t i = 0; i < 3; i++)
    for (size_t l = 0; l <= i; l++)
      sum += (l < i ? 2 : 1) * c[i] * c[l] * a[first + i + (first + l) * (size_t)size];
  return sum;
}

/* Share of place s in the weight of a difference: places are equally spaced from the first to the
 * last, and shares linear in between. */
static double piece_weight(const mechanisms *m, int row, int s) {
  double last = m->penalty.n_basis - 3;
  double place = m->pieces > 1 && last > 0 ? row * (m->pieces - 1) / last : 0;
  return fmax(0, 1 - fabs(place - s));
}

/* Weight of a difference of parent k. */
static double row_lambda(const mechanisms *m, const mechanism_cell *cell, int k, int row) {
  double sum = 0;
  for (int s = 0; s < m->pieces; s++)
    sum += piece_weight(m, row, s) * cell->lambda[k * m->pieces + s];
  return sum;
}

/* G + P + jitter in `out`, lower triangle. */
static void penalised_gram(const mechanisms *m, const mechanism_cell *cell, const double *gram,
                           double *out) {
  size_t size = (size_t)cell->n_coef;
  const penalty *p = &m->penalty;
  memcpy(out, gram, size * size * sizeof(double));
  for (size_t g = 0; g < size; g++)
    out[g + g * size] += JITTER * cell->weight;
  for (int k = 0; k < cell->parents; k++)
    for (int row = 0; row < p->n_basis - 2; row++) {
      const double *c = p->difference + 3 * row;
      size_t first = (size_t)(k * p->n_basis + row);
      double lambda = row_lambda(m, cell, k, row);
      for (size_t i = 0; i < 3; i++)
        for (size_t l = 0; l <= i; l++)
          out[first + i + (first + l) * size] += lambda * c[i] * c[l];
    }
}

/* (G + P - M)^-1 in m->work.observed, with as much of M as leaves it positive definite. Returns
 * that share of M; -1 if there is none. */
static double invert_observed(mechanisms *m, const mechanism_cell *cell, const double *gram) {
  const int size = cell->n_coef;
  double *out = m->work.observed, share = 1 / LESS_MISSING;
  int info = 1;
  for (int attempt = 0; attempt < 12 && info != 0; attempt++) {
    share *= LESS_MISSING;
    penalised_gram(m, cell, gram, out);
    for (size_t g = 0; g < (size_t)size * (size_t)size; g++)
      out[g] -= share * m->missing[cell->missing + g];
    F77_CALL(dpotrf)("L", &size, out, &size, &info FCONE);
  }
  if (info == 0)
    F77_CALL(dpotri)("L", &size, out, &size, &info FCONE);
  return info == 0 ? share : -1;
}

/* Generalised Fellner-Schall step (Wood and Fasiolo 2017, eq. 3) towards the largest marginal
 * likelihood, with differences of theta N(0, v / lambda). covariance: that of theta, over v. */
static void update_lambda(const mechanisms *m, mechanism_cell *cell, double variance,
                          const double *covariance) {
  const penalty *p = &m->penalty;
  for (int k = 0; k < cell->parents; k++) {
    double used[MAX_PIECES] = {0}, rough[MAX_PIECES] = {0};
    for (int row = 0; row < p->n_basis - 2; row++) {
      double prior = 1 / row_lambda(m, cell, k, row);
      double left = difference_variance(p, covariance, cell->n_coef, k, row);
      double difference = difference_of(p, cell->theta + k * p->n_basis, row);
      for (int s = 0; s < m->pieces; s++) {
        used[s] += piece_weight(m, row, s) * fmax(prior - left, 0);
        rough[s] += piece_weight(m, row, s) * difference * difference;
      }
    }
    for (int s = 0; s < m->pieces; s++) {
      double *lambda = cell->lambda + k * m->pieces + s;
      double next = variance * fmax(*lambda * used[s], LEAST_DF) / fmax(rough[s], 1e-300);
      *lambda = fmin(fmax(next, LAMBDA_MIN), LAMBDA_MAX * cell->weight);
    }
  }
}

/* theta from G, r and s, which follow one another; (G + P)^-1 in m->work.inverse. */
static int solve_cell(mechanisms *m, mechanism_cell *cell, const double *gram) {
  size_t square = (size_t)cell->n_coef * (size_t)cell->n_coef;
  penalised_gram(m, cell, gram, m->work.inverse);
  return additive_solve(cell->n_coef, m->work.inverse, gram + square, cell->theta, 1);
}

static double residual_square(mechanisms *m, const mechanism_cell *cell, const double *gram) {
  size_t size = (size_t)cell->n_coef;
  const double *rhs = gram + size * size;
  return additive_residual(cell->n_coef, gram, rhs, rhs[size], cell->theta, m->work.solution);
}

/* Effective degrees of freedom, and the next lambda if it is learned. */
static void update_smoothing(mechanisms *m, mechanism_cell *cell, const double *gram,
                             double variance) {
  const penalty *p = &m->penalty;
  cell->df = cell->n_coef;
  for (int k = 0; k < cell->parents; k++)
    for (int row = 0; row < p->n_basis - 2; row++)
      cell->df -= row_lambda(m, cell, k, row) *
                  difference_variance(p, m->work.inverse, cell->n_coef, k, row);
  if (!m->learn_lambda || m->held_lambda)
    return;
  int known = m->pieces > 1 && m->estimates > 0 && invert_observed(m, cell, gram) >= 0;
  update_lambda(m, cell, variance, known ? m->work.observed : m->work.inverse);
}

/* With few rows, variances that maximise at single draws are a random walk in their logarithm,
 * which comes to rest near 0: a small variance makes for small residuals at the next draw. Short
 * steps average over draws. */
static double step_of(const mechanisms *m, const mechanism_cell *cell) {
  return fmin(1, fmax(m->variance_step, cell->weight / MANY_ROWS));
}

static int fit_cell(mechanisms *m, int c, const double *stats, double error) {
  mechanism_cell *cell = &m->cell[c];
  const double *sum = stats + cell->at;
  double rss = 0;
  if (cell->parents == 0) {
    m->constant[c] = sum[1] / sum[0];
    rss = sum[2] - sum[1] * m->constant[c];
  } else {
    int status = solve_cell(m, cell, sum);
    if (status != STATUS_OK)
      return status;
    rss = residual_square(m, cell, sum);
  }
  double variance = noise_stepped(m->variance[c], rss / cell->weight - error, step_of(m, cell));
  m->floored += !(variance > m->variance_floor);
  m->variance[c] = variance > m->variance_floor ? variance : m->variance_floor;
  if (cell->parents > 0)
    update_smoothing(m, cell, sum, m->variance[c]);
  return isfinite(variance) ? STATUS_OK : STATUS_NOT_FINITE;
}

/* ---- noise in components ------------------------------------------------------------------- */

/* sum (m x K): of omega b over the rows of each label. The first parent's functions add up to 1, so
 * that it is the sum of their columns in G. */
static void basis_sums(const mechanisms *m, const mechanism_cell *cell, const double *gram) {
  int size = cell->n_coef, block = cell->parents > 0 ? m->table.n_basis : 1;
  for (int s = 0; s < m->noise.n; s++, gram += sums_of(cell))
    for (int row = 0; row < size; row++) {
      double *sum = m->work.basis_sum + s * size + row;
      *sum = 0;
      for (int col = 0; col < block; col++)
        *sum += row >= col ? gram[row + (size_t)col * (size_t)size]
                           : gram[col + (size_t)row * (size_t)size];
    }
}

/* Sum over the first parent's functions, or the constant. */
static double first_block(const mechanisms *m, const mechanism_cell *cell, const double *v) {
  double sum = 0;
  for (int k = 0; k < (cell->parents > 0 ? m->table.n_basis : 1); k++)
    sum += v[k];
  return sum;
}

/* Sums over labels, a row of component s counting variance / variance_s times and its z less
 * mean_s. */
static void pool_components(mechanisms *m, int c, const double *gram) {
  const mechanism_cell *cell = &m->cell[c];
  size_t size = (size_t)cell->n_coef, square = size * size;
  memset(m->work.pooled, 0, sums_of(cell) * sizeof(double));
  for (int s = 0; s < m->noise.n; s++, gram += sums_of(cell)) {
    int g = m->noise.n * c + s;
    double scale = m->variance[c] / m->noise.variance[g], shift = m->noise.mean[g];
    const double *sum = m->work.basis_sum + (size_t)s * size;
    for (size_t k = 0; k < square; k++)
      m->work.pooled[k] += scale * gram[k];
    for (size_t k = 0; k < size; k++)
      m->work.pooled[square + k] += scale * (gram[square + k] - shift * sum[k]);
  }
}

static labelled_moments residual_moments(mechanisms *m, int c, const double *gram) {
  const mechanism_cell *cell = &m->cell[c];
  size_t size = (size_t)cell->n_coef;
  labelled_moments out;
  for (int s = 0; s < m->noise.n; s++, gram += sums_of(cell)) {
    const double *sum = m->work.basis_sum + (size_t)s * size;
    out.weight[s] = first_block(m, cell, sum);
    out.sum[s] = first_block(m, cell, gram + size * size);
    for (size_t k = 0; k < size; k++)
      out.sum[s] -= cell->theta[k] * sum[k];
    out.square[s] = residual_square(m, cell, gram);
  }
  return out;
}

static int fit_mixture_cell(mechanisms *m, int c, const double *stats) {
  mechanism_cell *cell = &m->cell[c];
  const double *sum = stats + cell->at;
  basis_sums(m, cell, sum);
  pool_components(m, c, sum);
  if (cell->parents == 0) {
    cell->theta[0] = m->work.pooled[1] / m->work.pooled[0];
  } else {
    int status = solve_cell(m, cell, m->work.pooled);
    if (status != STATUS_OK)
      return status;
    update_smoothing(m, cell, m->work.pooled, m->variance[c]);
  }
  labelled_moments moments = residual_moments(m, c, sum);
  double gain = noise_fit(&m->noise, c, &moments, step_of(m, cell), m->variance_floor,
                          &m->variance[c], &m->floored);
  int block = cell->parents > 0 ? m->table.n_basis : 1;
  for (int k = 0; k < block; k++)
    cell->theta[k] += gain;
  m->constant[c] = cell->parents > 0 ? 0 : cell->theta[0];
  return isfinite(m->variance[c]) ? STATUS_OK : STATUS_NOT_FINITE;
}

/* ---- what is known of the coefficients ----------------------------------------------------- */

/* Both triangles of factor x the lower one. */
static void whole_matrix(const double *lower, double factor, int size, double *out) {
  for (int col = 0; col < size; col++)
    for (int row = col; row < size; row++)
      out[row + col * size] = out[col + row * size] = factor * lower[row + col * size];
}

int mechanism_information(mechanisms *m, int c, const double *stats, double *gram, double *penalty,
                          double *missing) {
  const mechanism_cell *cell = &m->cell[c];
  const double *sum = stats + cell->at;
  size_t many = (size_t)cell->n_coef * (size_t)cell->n_coef;
  if (m->noise.n > 1) {
    basis_sums(m, cell, sum);
    pool_components(m, c, sum);
    sum = m->work.pooled;
  }
  double share = invert_observed(m, cell, sum);
  penalised_gram(m, cell, sum, m->work.inverse);
  for (size_t g = 0; g < many; g++)
    m->work.inverse[g] -= sum[g];
  whole_matrix(sum, 1, cell->n_coef, gram);
  whole_matrix(m->work.inverse, 1, cell->n_coef, penalty);
  whole_matrix(m->missing + cell->missing, share, cell->n_coef, missing);
  return share >= 0 && m->estimates > 0;
}

/* ---- all cells ----------------------------------------------------------------------------- */

int mechanism_fit(mechanisms *m, const double *stats) {
  int status = STATUS_OK;
  for (int c = 0; c < graph_cells(&m->graph) && status == STATUS_OK; c++)
    if (m->cell[c].weight > 0)
      status = m->noise.n > 1 ? fit_mixture_cell(m, c, stats) : fit_cell(m, c, stats, 0);
  mechanism_curves(m);
  return status;
}

int mechanism_start(mechanisms *m, const double *stats, const double *error) {
  int status = STATUS_OK;
  for (int c = 0; c < graph_cells(&m->graph) && status == STATUS_OK; c++)
    if (m->cell[c].weight > 0) {
      status = fit_cell(m, c, stats, error[graph_node(&m->graph, c)]);
      noise_split(&m->noise, c, m->variance[c]);
    }
  mechanism_curves(m);
  return status;
}
