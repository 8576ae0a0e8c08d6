#include "term_system.h"

#include "linalg.h"
#include "term_cg.h"

#include <string.h>

/* Iterations of conjugate gradients, and time of a multiplication there and in the assembly against
 * one in the factorisation, that the choice of solver reckons with. Uniform terms of a log-density
 * take more, that preconditioner missing most of its third differences. */
enum { TYPICAL_ITERATIONS = 60, STIFF_ITERATIONS = 2000, SLOWER = 4 };

/* With more terms the factor is not planned unless it is asked for. */
enum { MAX_PLANNED = 512 };

/* The factor of the whole matrix. If the factorisation fails, it is tried again with a larger
 * ridge. */
static int factor_matrix(score_model *m, const latent_sample *s, term_system *t) {
  double ridge = t->blocks.ridge;
  for (int attempt = 0; attempt < 4; attempt++, ridge *= 100) {
    term_design_assemble(m, s, t);
    if (m->set.poll)
      m->set.poll();
    for (int a = 0; a < t->n_term; a++) {
      size_t ld;
      double *block = block_cholesky_at(&t->blocks.matrix, a, a, &ld);
      term_design_penalty(m, t, a, ridge, block, ld);
    }
    if (block_cholesky_factor(&t->blocks.matrix) == STATUS_OK)
      return STATUS_OK;
  }
  return STATUS_SINGULAR;
}

int term_system_solve(score_model *m, const latent_sample *s, term_system *t) {
  term_design_sums(m, s, t);
  int status = t->solver == SOLVER_CHOLESKY ? factor_matrix(m, s, t) : STATUS_OK;
  return status == STATUS_OK ? term_cg_solve(m, s, t) : status;
}

static int fit_system(score_model *m, const latent_sample *s, term_system *t) {
  int status = term_system_solve(m, s, t);
  for (int a = 0; a < t->n_term; a++) {
    score_cell *cell = &m->cell[t->term[a].cell];
    cell->cg_iterations = t->iterations;
    cell->unconverged = t->unconverged;
  }
  return status;
}

int term_system_fit_all(score_model *m, const latent_sample *s) {
  for (int k = 0; k < m->n_system; k++) {
    term_system *t = m->system[k];
    int status = fit_system(m, s, t);
    if (status == STATUS_OK && !linalg_finite(t->theta, t->start[t->n_term]))
      status = STATUS_NOT_FINITE;
    if (status != STATUS_OK)
      return status;
    if (m->set.poll)
      m->set.poll();
  }
  return STATUS_OK;
}

static double cg_flops(const score_model *m, const term_system *t) {
  double bands = 0, sums = 0, passes = 0, steps = 0;
  int stiff = 0;
  for (int a = 0; a < t->n_term; a++) {
    const family *f = t->term[a].f;
    double rows = (double)m->cell[t->term[a].cell].n_rows, local = (double)f->n_run * ORDER, step;
    bands += term_cg_flops(f, m->table.n_basis, &step);
    steps += step;
    passes += rows * local * 5;
    if (!term_cg_is_uniform(f, m->table.n_basis))
      sums += rows * local * local * (1 + f->n_coord) / 2;
    else if (t->design == DESIGN_GRADIENT)
      stiff = 1;
  }
  int iterations = stiff ? STIFF_ITERATIONS : TYPICAL_ITERATIONS;
  return bands + SLOWER * sums + iterations * (steps + SLOWER * passes);
}

term_system *term_system_plan(const score_model *m, const latent_sample *s, design_kind design,
                              const int *cell, int n_cell, allocator alloc) {
  term_system *t = term_design_new(m, design, cell, n_cell, alloc);
  size_t n = (size_t)t->n_term, n_coef = t->start[n];
  t->solver = SOLVER_CG;
  if (m->set.solver == SOLVER_CHOLESKY || (m->set.solver == SOLVER_AUTO && n <= MAX_PLANNED)) {
    unsigned char *linked = alloc(n * n, 1);
    double flops = SLOWER * term_design_links(s, t, linked, alloc);
    t->blocks.matrix = block_cholesky_plan(t->n_term, t->start, linked, alloc);
    flops += t->blocks.matrix.flops;
    if (m->set.solver == SOLVER_CHOLESKY || flops <= cg_flops(m, t))
      t->solver = SOLVER_CHOLESKY;
  }
  double vectors = (3 + m->shards.n_shards + m->set.cross_validate) * (double)n_coef;
  t->bytes = (vectors + (double)(n * (size_t)t->max_coord)) * sizeof(double);
  t->bytes += term_cg_bytes(t, m);
  if (t->solver == SOLVER_CHOLESKY)
    t->bytes += t->blocks.matrix.bytes + (double)n_coef * sizeof(double);
  return t;
}

void term_system_allocate(term_system *t, const score_model *m, allocator alloc) {
  size_t n_coef = t->start[t->n_term];
  t->theta = alloc(n_coef, sizeof(double));
  memset(t->theta, 0, n_coef * sizeof(double));
  t->rhs = alloc(n_coef, sizeof(double));
  t->product = alloc(n_coef, sizeof(double));
  t->kept = m->set.cross_validate ? alloc(n_coef, sizeof(double)) : NULL;
  t->sum = alloc((size_t)m->shards.n_shards * n_coef, sizeof(double));
  t->trace = alloc((size_t)t->n_term * (size_t)t->max_coord, sizeof(double));
  if (t->solver == SOLVER_CHOLESKY)
    block_cholesky_allocate(&t->blocks.matrix, alloc);
  t->cg = term_cg_new(t, m, alloc);
}
