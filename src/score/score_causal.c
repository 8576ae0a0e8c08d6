/* The causal score (5.2): s_j(y_j, y_pa(j), a_j) = phi_j' theta_{j, a_j}, cubic splines (A.1).
 *
 * Score matching (5.4) is quadratic in theta; for each (node, state) it solves
 *   (sum_i omega_i phi phi' + P) theta = - sum_i omega_i d_j phi
 * over the rows with that target state; where a reference score g is known beforehand and the
 * spline corrects it, phi g joins d_j phi on the right. Rows touch 4^q features, so the Gram matrix
 * is accumulated in band form (or not at all, see cell_cg.h) and no n x K^q matrix is ever built.
 */
#include "cell_cg.h"
#include "linalg.h"
#include "score_class.h"
#include "term_system.h"
#include "vectorize.h"

#include <math.h>
#include <string.h>

/* The features of a row and their derivatives in the first coordinate. */
INLINE void row_features(const family *f, const basis_block *b, int row, double *product,
                         double *phi, double *dphi) {
  const double *value = b->value + family_basis_at(f, 0, row);
  const double *slope = b->slope + family_basis_at(f, 0, row);
  size_t n = f->n_run; /* products of the other coordinates' values */
  size_t length = family_middle_product(f, b, row, 0, product);
  if (f->n_coord > 1)
    outer_product(product, length, b->value + family_basis_at(f, f->n_coord - 1, row));
  if (n == 1) { /* the node alone */
    memcpy(phi, value, ORDER * sizeof(double));
    memcpy(dphi, slope, ORDER * sizeof(double));
    return;
  }
  for (size_t a = 0; a < ORDER; a++)
    for (size_t r = 0; r < n; r++) {
      phi[a * n + r] = value[a] * product[r];
      dphi[a * n + r] = slope[a] * product[r];
    }
}

/* to += w * from, four neighbours. */
INLINE void add_run(double *to, double w, const double *from) {
  SIMD for (int t = 0; t < ORDER; t++) to[t] += w * from[t];
}

/* band += w phi phi' (lower triangle) for one row. A run of four entries may start up to three
 * above the diagonal: band storage has padding for them. */
INLINE void add_gram(double *band, size_t ld, const family *f, size_t base, const double *phi,
                     double w) {
  for (size_t ra = 0; ra < f->n_run; ra++)
    UNROLL_FOUR for (size_t a = 0; a < ORDER; a++) {
      size_t col = f->run_offset[ra] + a;
      double wa = w * phi[ra * ORDER + a];
      double *entry = band + (base + col) * ld - col; /* entry[offset of b] belongs to (b, a) */
      for (size_t rb = ra; rb < f->n_run; rb++)
        add_run(entry + f->run_offset[rb], wa, phi + rb * ORDER);
    }
}

/* A family of two coordinates, with few enough knots, has its own fast sums (pairs.h). */
static int goes_by_pairs(const score_model *m, int cell) {
  return m->cell[cell].term->n_coord == 2 && pair_sums_size(m->set.knots) > 0;
}

/* Adds a block of rows to a copy of the normal equations of the node's wanted cells (0 or 1 by
 * state). */
WIDE_VECTORS static void accumulate_features(const score_model *m, const latent_sample *s, int node,
                                             const int *wanted, int copy, const task_work *t,
                                             size_t start, int rows) {
  band_shape shape[MAX_STATES];
  for (int state = 0; state < m->graph.n_states; state++)
    shape[state] = band_of(m->cell[graph_cell(&m->graph, node, state)].term, m->table.n_basis);
  for (int i = 0; i < rows; i++) {
    int state = row_state(s, start + (size_t)i, node), c = graph_cell(&m->graph, node, state);
    if (!wanted[state])
      continue;
    const family *f = m->cell[c].term;
    double *rhs = m->cell[c].gram + shape[state].total * (size_t)copy;
    double *band = rhs + f->n_coef + BAND_PADDING, w = row_weight(s, start + (size_t)i);
    size_t base = family_base(f, &t->block, i);
    row_features(f, &t->block, i, t->product, t->phi, t->dphi);
    for (size_t r = 0; r < f->n_run; r++)
      add_run(rhs + base + f->run_offset[r], -w, t->dphi + r * ORDER);
    add_gram(band, shape[state].ld, f, base, t->phi, w);
  }
}

/* The same for families of two coordinates, into t->pair. */
WIDE_VECTORS static void accumulate_pairs(const score_model *m, const latent_sample *s, int node,
                                          const int *wanted, const task_work *t, size_t start,
                                          int rows) {
  const family *f = m->cell[graph_cell(&m->graph, node, 0)].term;
  const basis_block *b = &t->block;
  size_t state_size = pair_sums_size(m->set.knots);
  for (int i = 0; i < rows; i++) {
    size_t row = start + (size_t)i, own = family_basis_at(f, 0, i), pa = family_basis_at(f, 1, i);
    int state = row_state(s, row, node);
    if (wanted[state])
      pair_sums_add(t->pair + (size_t)state * state_size, m->set.knots, b->value + own,
                    b->slope + own, b->first[own / ORDER], b->value + pa, b->first[pa / ORDER],
                    row_weight(s, row));
  }
}

static void spread_pairs(const score_model *m, int cell, int copy, const task_work *t) {
  const family *f = m->cell[cell].term;
  band_shape shape = band_of(f, m->table.n_basis);
  size_t state_size = pair_sums_size(m->set.knots);
  double *rhs = m->cell[cell].gram + shape.total * (size_t)copy;
  pair_sums_spread(t->pair + (size_t)graph_state(&m->graph, cell) * state_size, m->set.knots, f,
                   rhs + f->n_coef + BAND_PADDING, shape.ld, rhs);
}

/* The right-hand side's - d_j phi becomes - (d_j phi + phi g_j): slopes of the node's own basis
 * become slope + g value, in the block of a task that evaluates no scores. */
static void add_reference(const latent_sample *s, int node, basis_block *b, size_t start,
                          int rows) {
  const double *reference = s->reference + (size_t)node * s->n + start;
  size_t at = (size_t)node * BLOCK_ROWS;
  for (size_t i = 0; i < (size_t)rows; i++)
    for (size_t a = 0; a < ORDER; a++)
      b->slope[(at + i) * ORDER + a] += reference[i] * b->value[(at + i) * ORDER + a];
}

/* Rows [from, to) into one copy of the normal equations of a node's wanted cells. */
static void accumulate_node(const score_model *m, const latent_sample *s, task_work *t, int copy,
                            int node, const int *wanted, size_t from, size_t to) {
  const causal_graph *g = &m->graph;
  const int *family = g->family[node];
  int n_family = 0, by_pairs[MAX_STATES], by_features[MAX_STATES], pairs = 0, features = 0;
  for (int c = 0; c < g->n_states; c++) {
    by_pairs[c] = wanted[c] && goes_by_pairs(m, graph_cell(g, node, c));
    by_features[c] = wanted[c] && !by_pairs[c];
    if (wanted[c] && m->cell[graph_cell(g, node, c)].term->n_coord > n_family)
      n_family = m->cell[graph_cell(g, node, c)].term->n_coord;
    pairs |= by_pairs[c];
    features |= by_features[c];
  }
  if (pairs)
    memset(t->pair, 0, pair_sums_size(m->set.knots) * (size_t)g->n_states * sizeof(double));
  for (size_t start = from; start < to; start += BLOCK_ROWS) {
    int rows = to - start < BLOCK_ROWS ? (int)(to - start) : BLOCK_ROWS;
    for (int k = 0; k < n_family; k++)
      basis_block_fill(&t->block, &m->table, m->range + 2 * family[k], s->y, s->n, family[k], start,
                       rows);
    if (s->reference)
      add_reference(s, node, &t->block, start, rows);
    if (pairs)
      accumulate_pairs(m, s, node, by_pairs, t, start, rows);
    if (features)
      accumulate_features(m, s, node, by_features, copy, t, start, rows);
  }
  for (int c = 0; c < g->n_states; c++)
    if (by_pairs[c])
      spread_pairs(m, graph_cell(g, node, c), copy, t);
}

/* Does task k (a shard, then a node) accumulate this cell? Shards take small bands, nodes large. */
static int in_task(const score_model *m, int cell, int k) {
  int n_shards = m->shards.n_shards;
  if (!m->cell[cell].gram)
    return 0;
  int sharded = cell_band_copies(m, cell) == n_shards;
  return k < n_shards ? sharded : !sharded && k - n_shards == graph_node(&m->graph, cell);
}

/* Sums the copies of every band cell's normal equations into the first. */
static void add_copies(score_model *m) {
  for (int c = 0; c < m->n_cells; c++) {
    if (!m->cell[c].gram)
      continue;
    double *gram = m->cell[c].gram;
    size_t total = band_of(m->cell[c].term, m->table.n_basis).total;
    for (int k = 1; k < cell_band_copies(m, c); k++)
      for (size_t g = 0; g < total; g++)
        gram[g] += gram[(size_t)k * total + g];
  }
}

/* Normal equations of every band cell, without penalty, in the first copy: a task a shard for small
 * bands, one a node for large. */
static void accumulate(score_model *m, const latent_sample *s) {
  int n_shards = m->shards.n_shards;
  for (int c = 0; c < m->n_cells; c++)
    if (m->cell[c].gram) {
      size_t total = band_of(m->cell[c].term, m->table.n_basis).total;
      memset(m->cell[c].gram, 0, total * (size_t)cell_band_copies(m, c) * sizeof(double));
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int k = 0; k < n_shards + m->d; k++) {
    size_t from = k < n_shards ? shard_start(&m->shards, k) : 0;
    size_t to = k < n_shards ? shard_start(&m->shards, k + 1) : s->n;
    for (int j = 0; j < m->d; j++) {
      int wanted[MAX_STATES], any = 0;
      for (int c = 0; c < m->graph.n_states; c++)
        any |= wanted[c] = in_task(m, graph_cell(&m->graph, j, c), k);
      if (any)
        accumulate_node(m, s, &m->task[k], k < n_shards ? k : 0, j, wanted, from, to);
    }
  }
  add_copies(m);
}

static int solve_band_cell(score_model *m, int c) {
  const family *f = m->cell[c].term;
  score_cell *cell = &m->cell[c];
  band_shape shape = band_of(f, m->table.n_basis);
  double *rhs = cell->gram, *band = rhs + f->n_coef + BAND_PADDING;
  penalty_add_band(&m->penalty, cell->lambda, f, band, shape.ld);
  int status = band_solve(band, shape, m->factor, rhs, &cell->jittered);
  memcpy(cell->theta, rhs, f->n_coef * sizeof(double));
  return status;
}

static int causal_fit(score_model *m, const latent_sample *s) {
  int ranged = cells_update_range(m, s);
  if (ranged != STATUS_OK)
    return ranged;
  accumulate(m, s);
  for (int c = 0; c < m->n_cells; c++) {
    score_cell *cell = &m->cell[c];
    if (cell->solver == SOLVER_NONE || cell->n_term > 1)
      continue;
    int status = cell->solver == SOLVER_CHOLESKY ? solve_band_cell(m, c) : cell_cg_fit(m, s, c);
    if (status != STATUS_OK)
      return status;
    if (!linalg_finite(cell->theta, m->cell[c].term->n_coef))
      return STATUS_NOT_FINITE;
    if (m->set.poll)
      m->set.poll();
  }
  return term_system_fit_all(m, s);
}

/* A band cell under each weight in turn; the band gains what the weight has grown by. */
static void held_out_band(score_model *m, int c, const double *lambda, int n_weights,
                          held_out_sums *sums) {
  const score_cell *cell = &m->cell[c];
  const family *f = cell->term;
  band_shape shape = band_of(f, m->table.n_basis);
  double *band = cell->gram + f->n_coef + BAND_PADDING, *theta = m->trial, added = 0;
  const double *test = cell->test_gram + f->n_coef + BAND_PADDING;
  for (int k = 0; k < n_weights; k++) {
    size_t at = (size_t)k * (size_t)m->n_cells + (size_t)c;
    int jittered;
    penalty_add_band(&m->penalty, lambda[at] - added, f, band, shape.ld);
    added = lambda[at];
    memcpy(theta, cell->gram, f->n_coef * sizeof(double));
    int status = band_solve(band, shape, m->factor, theta, &jittered);
    sums->square[at] = band_quadratic(test, shape, theta, theta + f->n_coef);
    sums->slope[at] = 0;
    for (size_t g = 0; g < f->n_coef; g++)
      sums->slope[at] -= cell->test_gram[g] * theta[g];
    if (status != STATUS_OK)
      sums->square[at] = INFINITY;
  }
}

static void causal_held_out(score_model *m, const latent_sample *train, const latent_sample *test,
                            const double *lambda, int n_weights, held_out_sums *sums) {
  accumulate(m, test);
  for (int c = 0; c < m->n_cells; c++)
    if (m->cell[c].gram)
      memcpy(m->cell[c].test_gram, m->cell[c].gram,
             band_of(m->cell[c].term, m->table.n_basis).total * sizeof(double));
  accumulate(m, train);
  for (int c = 0; c < m->n_cells; c++) {
    if (m->cell[c].gram)
      held_out_band(m, c, lambda, n_weights, sums);
    else if (m->cell[c].solver == SOLVER_CG && m->cell[c].n_term == 1)
      cell_cg_held_out(m, train, test, c, lambda, n_weights, sums);
    else
      for (int k = 0; k < n_weights; k++)
        sums->square[k * m->n_cells + c] = sums->slope[k * m->n_cells + c] = 0;
    if (m->set.poll)
      m->set.poll();
  }
}

/* Adds a term's part of s = phi' theta and ds = (d_j phi)' theta for one row; theta from the row's
 * base on. */
INLINE void row_score(const family *f, const basis_block *b, int row, const double *theta,
                      double *product, double *score, double *dscore) {
  const double *value = b->value + family_basis_at(f, 0, row);
  const double *slope = b->slope + family_basis_at(f, 0, row);
  double fit = 0, derivative = 0;
  if (f->n_coord == 1) {
    UNROLL_FOUR for (int a = 0; a < ORDER; a++) {
      fit += value[a] * theta[a];
      derivative += slope[a] * theta[a];
    }
  } else { /* contract the middle coordinates, then the first, then the last */
    const double *last = b->value + family_basis_at(f, f->n_coord - 1, row);
    double fits[ORDER] = {0}, derivatives[ORDER] = {0};
    if (f->n_coord == 2) { /* the commonest family has no middle */
      UNROLL_FOUR for (size_t a = 0; a < ORDER; a++) {
        add_run(fits, value[a], theta + a * f->stride[0]);
        add_run(derivatives, slope[a], theta + a * f->stride[0]);
      }
    } else {
      size_t length = family_middle_product(f, b, row, 0, product);
      for (size_t a = 0; a < ORDER; a++) {
        double part[ORDER] = {0};
        for (size_t r = 0; r < length; r++)
          add_run(part, product[r], theta + f->run_offset[a * length + r]);
        add_run(fits, value[a], part);
        add_run(derivatives, slope[a], part);
      }
    }
    UNROLL_FOUR for (int t = 0; t < ORDER; t++) {
      fit += last[t] * fits[t];
      derivative += last[t] * derivatives[t];
    }
  }
  *score += fit;
  *dscore += derivative;
}

/* The derivative of phi' theta in the family's coordinate k (not the first): slopes of k. */
INLINE double row_derivative(const family *f, const basis_block *b, int row, const double *theta,
                             int k, double *product) {
  const double *value = b->value + family_basis_at(f, 0, row);
  const double *last =
      (k == f->n_coord - 1 ? b->slope : b->value) + family_basis_at(f, f->n_coord - 1, row);
  double fits[ORDER] = {0}, derivative = 0;
  size_t length = family_middle_product(f, b, row, k, product);
  for (size_t a = 0; a < ORDER; a++)
    for (size_t r = 0; r < length; r++)
      add_run(fits, value[a] * product[r], theta + f->run_offset[a * length + r]);
  for (int t = 0; t < ORDER; t++)
    derivative += last[t] * fits[t];
  return derivative;
}

/* Row j of the Jacobian: the own derivative and those in the parents. */
WIDE_VECTORS static void causal_jacobian(const score_model *m, const latent_sample *s, int j,
                                         task_work *t, size_t start, int rows, const double *dscore,
                                         double *jacobian) {
  size_t d = (size_t)m->d;
  double *out = jacobian + (size_t)j * BLOCK_ROWS; /* column l at l d BLOCK_ROWS */
  for (size_t l = 0; l < d; l++)
    memset(out + l * d * BLOCK_ROWS, 0, (size_t)rows * sizeof(double));
  for (int i = 0; i < rows; i++) {
    int c = row_cell(s, start + (size_t)i, j);
    out[(size_t)j * d * BLOCK_ROWS + (size_t)i] = dscore[(size_t)j * BLOCK_ROWS + (size_t)i];
    for (int a = 0; a < m->cell[c].n_term; a++) {
      const family *f = &m->cell[c].term[a];
      const double *theta = term_theta(&m->cell[c], a) + family_base(f, &t->block, i);
      for (int k = 1; k < f->n_coord; k++)
        out[(size_t)f->coord[k] * d * BLOCK_ROWS + (size_t)i] +=
            row_derivative(f, &t->block, i, theta, k, t->product);
    }
  }
}

WIDE_VECTORS static void causal_evaluate(const score_model *m, const latent_sample *s, task_work *t,
                                         size_t start, int rows, double *score, double *dscore,
                                         double *jacobian, double *loss) {
  for (int j = 0; j < m->d; j++) {
    for (int i = 0; i < rows; i++) {
      size_t at = (size_t)j * BLOCK_ROWS + (size_t)i, row = start + (size_t)i;
      int c = row_cell(s, row, j);
      const score_cell *cell = &m->cell[c];
      score[at] = dscore[at] = 0;
      for (int a = 0; a < cell->n_term; a++)
        row_score(&cell->term[a], &t->block, i,
                  term_theta(cell, a) + family_base(&cell->term[a], &t->block, i), t->product,
                  score + at, dscore + at);
      loss[c] += row_weight(s, row) * (0.5 * score[at] * score[at] + dscore[at]);
    }
    if (jacobian)
      causal_jacobian(m, s, j, t, start, rows, dscore, jacobian);
  }
}

const score_class score_causal = {
    .name = "causal", .fit = causal_fit, .evaluate = causal_evaluate, .held_out = causal_held_out};
