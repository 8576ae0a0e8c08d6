/* The causal score (5.2): s_j(y_j, y_pa(j), a_j) = phi_j' theta_{j, a_j}, cubic splines (A.1).
 *
 * Score matching (5.4) is quadratic in theta; for each (node, state) it solves
 *   (sum_i omega_i phi phi' + P) theta = - sum_i omega_i d_j phi
 * over the rows with that target state. Rows touch 4^q features, so the Gram matrix is accumulated
 * in band form (or not at all, see solve.h) and no n x K^q matrix is ever built.
 */
#include "penalty.h"
#include "score.h"
#include "solve.h"

#include <math.h>
#include <string.h>

/* band += w phi phi' (lower triangle) for one row; phi comes in runs of four neighbours. */
static void add_gram(double *band, size_t ld, const family *f, size_t base, const double *phi,
                     double w) {
  for (size_t ra = 0; ra < f->n_run; ra++)
    for (size_t a = 0; a < ORDER; a++) {
      size_t col = f->run_offset[ra] + a;
      double wa = w * phi[ra * ORDER + a];
      double *entry = band + (base + col) * ld - col; /* entry[offset of b] belongs to (b, a) */
      for (size_t b = a; b < ORDER; b++)
        entry[f->run_offset[ra] + b] += wa * phi[ra * ORDER + b];
      for (size_t rb = ra + 1; rb < f->n_run; rb++)
        for (size_t b = 0; b < ORDER; b++)
          entry[f->run_offset[rb] + b] += wa * phi[rb * ORDER + b];
    }
}

/* Adds a block of rows to the normal equations of the node's band cells, in their given copy. */
static void accumulate_family(const score_model *m, const latent_sample *s, int node, int copy,
                              const task_work *t, size_t start, int rows) {
  const family *f = &m->family[node];
  size_t length = band_length(f, m->table.n_basis), ld = length / f->n_coef;
  for (int i = 0; i < rows; i++) {
    const score_cell *cell = &m->cell[2 * node + row_state(s, start + (size_t)i, node)];
    if (cell->solver != SOLVER_CHOLESKY)
      continue;
    double *gram = cell->gram + (length + f->n_coef) * (size_t)copy, *rhs = gram + length;
    double w = row_weight(s, start + (size_t)i);
    size_t base = family_base(f, &t->block, i);
    const double *value = t->block.value + ((size_t)node * BLOCK_ROWS + (size_t)i) * ORDER;
    const double *slope = t->block.slope + ((size_t)node * BLOCK_ROWS + (size_t)i) * ORDER;
    family_parent_product(f, &t->block, i, t->product);
    for (size_t a = 0, g = 0; a < ORDER; a++)
      for (size_t r = 0; r < f->n_run; r++, g++) {
        t->phi[g] = value[a] * t->product[r];
        rhs[base + f->run_offset[g / ORDER] + g % ORDER] -= w * slope[a] * t->product[r];
      }
    add_gram(gram, ld, f, base, t->phi, w);
  }
}

enum { ALL_SHARDED = -1 };

/* Rows [from, to) into one copy: of one node, or of all nodes whose bands have a copy a shard. */
static void accumulate_rows(const score_model *m, const latent_sample *s, task_work *t, int copy,
                            int node, size_t from, size_t to) {
  for (size_t start = from; start < to; start += BLOCK_ROWS) {
    int rows = to - start < BLOCK_ROWS ? (int)(to - start) : BLOCK_ROWS;
    basis_block_fill(&t->block, &m->table, m->range, s->y, s->n, s->d, start, rows);
    for (int j = 0; j < s->d; j++)
      if (j == node || (node == ALL_SHARDED && band_copies(m, &m->family[j]) == m->shards.n_shards))
        accumulate_family(m, s, j, copy, t, start, rows);
  }
}

static int needs_band(const score_model *m, int node) {
  return m->cell[2 * node].solver == SOLVER_CHOLESKY ||
         m->cell[2 * node + 1].solver == SOLVER_CHOLESKY;
}

/* Normal equations of every band cell: a task a shard, and one a node with a large band. */
static void accumulate(score_model *m, const latent_sample *s) {
  for (int c = 0; c < 2 * m->d; c++)
    if (m->cell[c].solver == SOLVER_CHOLESKY) {
      const family *f = &m->family[c / 2];
      size_t length = band_length(f, m->table.n_basis) + f->n_coef;
      memset(m->cell[c].gram, 0, length * (size_t)band_copies(m, f) * sizeof(double));
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int k = 0; k < m->shards.n_shards + m->d; k++) {
    int node = k - m->shards.n_shards;
    if (node < 0)
      accumulate_rows(m, s, &m->task[k], k, ALL_SHARDED, shard_start(&m->shards, k),
                      shard_start(&m->shards, k + 1));
    else if (needs_band(m, node) && band_copies(m, &m->family[node]) < m->shards.n_shards)
      accumulate_rows(m, s, &m->task[k], 0, node, 0, s->n);
  }
}

static int solve_band_cell(score_model *m, int node, score_cell *cell) {
  const family *f = &m->family[node];
  size_t length = band_length(f, m->table.n_basis), total = length + f->n_coef;
  double *gram = cell->gram, *rhs = gram + length;
  for (int k = 1; k < band_copies(m, f); k++)
    for (size_t g = 0; g < total; g++)
      gram[g] += gram[(size_t)k * total + g];
  penalty_add_band(gram, length / f->n_coef, f, m->table.n_basis, m->set.penalty, m->set.lambda);
  int status = band_solve(gram, (int)(length / f->n_coef) - 1, (int)f->n_coef, m->factor, rhs,
                          &cell->jittered);
  memcpy(cell->theta, rhs, f->n_coef * sizeof(double));
  return status;
}

static int all_finite(const double *v, size_t m) {
  for (size_t g = 0; g < m; g++)
    if (!isfinite(v[g]))
      return 0;
  return 1;
}

static int causal_fit(score_model *m, const latent_sample *s) {
  int ranged = score_update_range(m, s);
  if (ranged != STATUS_OK)
    return ranged;
  accumulate(m, s);
  for (int c = 0; c < 2 * m->d; c++) {
    score_cell *cell = &m->cell[c];
    if (cell->solver == SOLVER_NONE)
      continue;
    int status = cell->solver == SOLVER_CHOLESKY ? solve_band_cell(m, c / 2, cell)
                                                 : cg_fit_cell(m, s, c / 2, c % 2);
    if (status != STATUS_OK)
      return status;
    if (!all_finite(cell->theta, m->family[c / 2].n_coef))
      return STATUS_NOT_FINITE;
    if (m->set.poll)
      m->set.poll();
  }
  return STATUS_OK;
}

/* part[a]: the coefficients contracted with the parents' basis, one a function of y_j. */
static void contract_parents(const family *f, const double *theta, const double *product,
                             double part[ORDER]) {
  for (size_t a = 0, g = 0; a < ORDER; a++) {
    double sum = 0;
    for (size_t r = 0; r < f->n_run; r++, g++)
      sum += product[r] * theta[f->run_offset[g / ORDER] + g % ORDER];
    part[a] = sum;
  }
}

static void causal_evaluate(const score_model *m, const latent_sample *s, task_work *t,
                            size_t start, int rows, double *score, double *dscore, double *loss) {
  for (int j = 0; j < m->d; j++) {
    const family *f = &m->family[j];
    for (int i = 0; i < rows; i++) {
      int c = 2 * j + row_state(s, start + (size_t)i, j);
      size_t at = (size_t)j * BLOCK_ROWS + (size_t)i;
      const double *value = t->block.value + at * ORDER, *slope = t->block.slope + at * ORDER;
      double part[ORDER], fit = 0, derivative = 0;
      family_parent_product(f, &t->block, i, t->product);
      contract_parents(f, m->cell[c].theta + family_base(f, &t->block, i), t->product, part);
      for (int a = 0; a < ORDER; a++) {
        fit += value[a] * part[a];
        derivative += slope[a] * part[a];
      }
      score[at] = fit;
      dscore[at] = derivative;
      loss[c] += row_weight(s, start + (size_t)i) * (0.5 * fit * fit + derivative);
    }
  }
}

const score_class causal_score = {"causal", causal_fit, causal_evaluate};
