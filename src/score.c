/* What every score class shares: the plan of a fit, its cells and their memory, the ranges. */
#include "score.h"

#include "solve.h"

#include <math.h>
#include <string.h>

/* Bands above this many doubles are accumulated by one task each, not by every shard. */
enum { SHARED_BAND = 65536 };

/* Iterations of conjugate gradients that a choice of solver reckons with. */
enum { TYPICAL_CG_ITERATIONS = 60 };

cell_plan plan_cell(double n_rows, int n_coord, double n_total, const score_settings *set) {
  int n_basis = set->knots + 2;
  double local = pow(ORDER, n_coord), m = pow(n_basis, n_coord);
  double kd = family_bandwidth(n_coord, n_basis), band = (kd + 2 + BAND_PADDING) * m + BAND_PADDING;
  double cholesky = n_rows * local * local / 2 + m * kd * kd;
  double cg = TYPICAL_CG_ITERATIONS * (2.5 * n_rows * local + 10 * m);
  cell_plan p = {m, set->solver, 0, 0};
  if (n_rows == 0)
    p.solver = SOLVER_NONE;
  else if (set->solver == SOLVER_AUTO)
    p.solver = cholesky <= cg ? SOLVER_CHOLESKY : SOLVER_CG;
  if (p.solver == SOLVER_CHOLESKY) {
    double copies = band <= SHARED_BAND ? fmin(MAX_SHARDS, ceil(n_total / SHARD_ROWS)) : 1;
    p.own_bytes = (copies * band + m) * sizeof(double);
    p.shared_bytes = band * sizeof(double);
    p.own_bytes += set->cross_validate ? band * sizeof(double) : 0;
  } else if (p.solver == SOLVER_CG) {
    p.own_bytes = m * sizeof(double);
    p.shared_bytes = cg_work_bytes(n_rows, m, n_coord);
  }
  if (set->cross_validate)
    p.shared_bytes += 2 * m * sizeof(double);
  return p;
}

double task_bytes(double n_total, int d, int max_coord, int knots) {
  double tasks = fmin(MAX_SHARDS, ceil(n_total / SHARD_ROWS)) + d;
  double block = (double)d * BLOCK_ROWS * (2 * ORDER * sizeof(double) + sizeof(int));
  return tasks *
         (block + (2.25 * pow(ORDER, max_coord) + (double)pair_sums_size(knots)) * sizeof(double));
}

void count_cell_rows(const latent_sample *s, size_t *rows) {
  memset(rows, 0, 2 * (size_t)s->d * sizeof *rows);
  for (size_t i = 0; i < s->n; i++)
    for (int j = 0; j < s->d; j++)
      rows[2 * j + row_state(s, i, j)]++;
}

band_shape band_shape_of(const family *f, int n_basis) {
  band_shape shape = {.m = (int)f->n_coef, .kd = (int)family_bandwidth(f->n_coord, n_basis)};
  shape.ld = (size_t)shape.kd + 1 + BAND_PADDING;
  shape.total = f->n_coef + BAND_PADDING + shape.ld * f->n_coef;
  return shape;
}

int band_copies(const score_model *m, int cell) {
  size_t total = band_shape_of(&m->family[cell], m->table.n_basis).total;
  return total <= SHARED_BAND ? m->shards.n_shards : 1;
}

/* Allocates what the cells' solvers need; the factor and the cg work are shared by all cells. */
static void prepare_cells(score_model *m, const size_t *rows, allocator alloc) {
  size_t cg_rows = 0, cg_coef = 0, factor = 0, most = 0;
  int cg_coord = 0;
  for (int c = 0; c < 2 * m->d; c++) {
    const family *f = &m->family[c];
    score_cell *cell = &m->cell[c];
    memset(cell, 0, sizeof *cell);
    cell->n_rows = rows[c];
    cell->lambda = m->set.lambda;
    cell->solver = plan_cell((double)rows[c], f->n_coord, (double)m->shards.n, &m->set).solver;
    if (cell->solver == SOLVER_NONE)
      continue;
    cell->theta = alloc(f->n_coef, sizeof(double));
    memset(cell->theta, 0, f->n_coef * sizeof(double));
    most = f->n_coef > most ? f->n_coef : most;
    if (cell->solver == SOLVER_CHOLESKY) {
      size_t total = band_shape_of(f, m->table.n_basis).total;
      cell->gram = alloc(total * (size_t)band_copies(m, c), sizeof(double));
      if (m->set.cross_validate)
        cell->test_gram = alloc(total, sizeof(double));
      factor = total > factor ? total : factor;
    } else {
      cg_rows = rows[c] > cg_rows ? rows[c] : cg_rows;
      cg_coef = f->n_coef > cg_coef ? f->n_coef : cg_coef;
      cg_coord = f->n_coord > cg_coord ? f->n_coord : cg_coord;
    }
  }
  m->factor = factor ? alloc(factor, sizeof(double)) : NULL;
  m->trial = m->set.cross_validate ? alloc(2 * most, sizeof(double)) : NULL;
  m->cg = cg_coef ? cg_work_new(cg_rows, cg_coef, cg_coord, alloc) : NULL;
}

score_model *score_model_new(const latent_sample *s, const int *const *coord, const int *n_coord,
                             const double *range, const score_settings *set, allocator alloc) {
  size_t d = (size_t)s->d;
  score_model *m = alloc(1, sizeof *m);
  memset(m, 0, sizeof *m);
  m->d = s->d;
  m->set = *set;
  m->shards = shard_rows(s->n);
  m->set.threads = set->threads < m->shards.n_shards ? set->threads : m->shards.n_shards;
  m->table =
      bspline_table_fill(set->knots, alloc((size_t)bspline_table_size(set->knots), sizeof(double)));
  m->penalty = penalty_new(set->penalty_kind, set->knots, alloc);
  m->family = alloc(2 * d, sizeof(family));
  m->max_run = 1;
  for (int c = 0; c < 2 * s->d; c++) {
    int q = cell_coords(set, n_coord[c / 2], c % 2);
    m->family[c] = family_new(coord[c / 2], q, m->table.n_basis, alloc);
    m->max_run = m->family[c].n_run > m->max_run ? m->family[c].n_run : m->max_run;
  }
  m->range = alloc(2 * d, sizeof(double));
  m->data_range = range == NULL;
  if (range)
    memcpy(m->range, range, 2 * d * sizeof(double));
  m->task = alloc((size_t)m->shards.n_shards + d, sizeof(task_work));
  for (int k = 0; k < m->shards.n_shards + s->d; k++) {
    m->task[k].block = basis_block_new(s->d, alloc);
    m->task[k].product = alloc(m->max_run, sizeof(double));
    m->task[k].phi = alloc(m->max_run * ORDER, sizeof(double));
    m->task[k].dphi = alloc(m->max_run * ORDER, sizeof(double));
    m->task[k].pair = aligned_doubles(pair_sums_size(set->knots), alloc);
  }
  m->cell = alloc(2 * d, sizeof(score_cell));
  size_t *rows = alloc(2 * d, sizeof(size_t));
  count_cell_rows(s, rows);
  prepare_cells(m, rows, alloc);
  return m;
}

/* Smallest and largest value of a column; not finite if any value is not. */
static void column_range(const double *v, size_t n, double *lo, double *hi) {
  double least = v[0], most = v[0], check = 0;
  for (size_t i = 0; i < n; i++) {
    least = v[i] < least ? v[i] : least;
    most = v[i] > most ? v[i] : most;
    check += v[i] * 0; /* 0, or NaN */
  }
  *lo = least + check;
  *hi = most + check;
}

int score_update_range(score_model *m, const latent_sample *s) {
  int status = STATUS_OK;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int j = 0; j < s->d; j++) {
    double lo, hi;
    column_range(s->y + (size_t)j * s->n, s->n, &lo, &hi);
    int found = !isfinite(lo + hi) ? STATUS_NOT_FINITE
                                   : (m->data_range && lo == hi ? STATUS_EMPTY_RANGE : STATUS_OK);
    if (found != STATUS_OK) {
#ifdef _OPENMP
#pragma omp critical
#endif
      status = found;
    }
    if (m->data_range) {
      m->range[2 * j] = lo;
      m->range[2 * j + 1] = hi;
    }
  }
  return status;
}
