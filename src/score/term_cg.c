#include "term_cg.h"

#include "conjugate_gradients.h"
#include "kronecker.h"

#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

/* Of the mean diagonal, below which the preconditioner takes no eigenvalue to lie; the same for the
 * penalty's, against rounding. */
static const double LEAST_EIGENVALUE = 1e-4, BAND_RIDGE = 1e-5, BAND_ROUNDING = 1e-13;

/* Residual, against the right-hand side, at which the effect of the factor's ridge is gone, and the
 * iterations that this may take. */
static const double NEGLIGIBLE = 1e-13;
enum { MAX_CORRECTIONS = 100 };

/* By which a correction by the factor may raise the residual: where functions of the node are in
 * several terms, or constants have no gradient, the matrix is singular. */
static const double MOST_RISE = 10;

/* Multiplications beyond which a band is not factored. */
static const double MAX_BAND_FLOPS = 2e9;

struct term_cg {
  int n_basis, max_coord;
  double **band;  /* n_term: factor of a term's band, or NULL; NULL with SOLVER_CHOLESKY */
  spectrum *part; /* n_term x max_coord: the matrices on one coordinate each of uniform terms */
  double *shift;  /* n_term: what is added to them */
  double *residual, *direction, *work;
};

static double band_flops(const family *f, int n_basis) {
  band_shape shape = band_of(f, n_basis);
  return (double)shape.m * shape.kd * shape.kd;
}

int term_cg_is_uniform(const family *f, int n_basis) {
  return band_flops(f, n_basis) > MAX_BAND_FLOPS;
}

term_cg *term_cg_new(term_system *t, const score_model *m, allocator alloc) {
  term_cg *c = alloc(1, sizeof *c);
  size_t n_coef = t->start[t->n_term], n_term = (size_t)t->n_term;
  c->n_basis = m->table.n_basis;
  c->max_coord = t->max_coord;
  c->residual = alloc(n_coef, sizeof(double));
  c->direction = alloc(n_coef, sizeof(double));
  c->band = NULL;
  if (t->solver == SOLVER_CHOLESKY)
    return c;
  c->band = alloc(n_term, sizeof(double *));
  c->part = alloc(n_term * (size_t)t->max_coord, sizeof(spectrum));
  c->shift = alloc(n_term, sizeof(double));
  c->work = alloc(3 * (size_t)c->n_basis, sizeof(double));
  t->blocks.stiffness = alloc(n_term * (size_t)t->max_coord, sizeof(double *));
  memset(t->blocks.stiffness, 0, n_term * (size_t)t->max_coord * sizeof(double *));
  for (int a = 0; a < t->n_term; a++) {
    const family *f = t->term[a].f;
    c->band[a] = NULL;
    if (!term_cg_is_uniform(f, c->n_basis))
      c->band[a] = workspace_doubles(band_of(f, c->n_basis).ld * f->n_coef, alloc);
    else
      for (int k = 0; k < f->n_coord; k++) {
        c->part[a * c->max_coord + k] = kronecker_spectrum_new(c->n_basis, alloc);
        t->blocks.stiffness[a * c->max_coord + k] = c->part[a * c->max_coord + k].vectors;
      }
  }
  return c;
}

double term_cg_bytes(const term_system *t, const score_model *m) {
  int n_basis = m->table.n_basis;
  double k = n_basis, numbers = 2 * (double)t->start[t->n_term];
  for (int a = 0; a < t->n_term && t->solver == SOLVER_CG; a++) {
    const family *f = t->term[a].f;
    numbers += term_cg_is_uniform(f, n_basis) ? f->n_coord * (k * k + k)
                                              : (double)band_of(f, n_basis).ld * (double)f->n_coef;
  }
  return numbers * sizeof(double);
}

double term_cg_flops(const family *f, int n_basis, double *step) {
  band_shape shape = band_of(f, n_basis);
  if (term_cg_is_uniform(f, n_basis)) {
    *step = 2 * (double)f->n_coord * n_basis * (double)f->n_coef;
    return 0;
  }
  *step = 2 * (double)shape.m * shape.kd;
  return band_flops(f, n_basis);
}

/* Mean diagonal of a term's Gram matrix. */
static double mean_diagonal(const term_system *t, int a) {
  double mean = 0;
  for (int k = 0; k < t->max_coord; k++)
    mean += t->trace[a * t->max_coord + k] / (double)t->term[a].f->n_coef;
  return mean;
}

/* A constant has no gradient: without a ridge the band is singular. If the factorisation fails, it
 * is tried again with a larger one. */
static int factor_band(const score_model *m, const latent_sample *s, const term_system *t, int a,
                       task_work *task) {
  const family *f = t->term[a].f;
  band_shape shape = band_of(f, t->cg->n_basis);
  double penalty = m->cell[t->term[a].cell].lambda * penalty_tensor_trace(&m->penalty, f);
  double ridge = BAND_RIDGE * mean_diagonal(t, a) + BAND_ROUNDING * penalty / (double)f->n_coef;
  int ld = (int)shape.ld, info;
  for (int attempt = 0; attempt < 4; attempt++, ridge *= 100) {
    term_design_own_band(m, s, t, a, ridge, t->cg->band[a], shape.ld, task);
    F77_CALL(dpbtrf)("L", &shape.m, &shape.kd, t->cg->band[a], &ld, &info FCONE);
    if (info == 0)
      return STATUS_OK;
  }
  return STATUS_SINGULAR;
}

/* For each coordinate a matrix such that G + P is about the sum of their Kronecker products with
 * identities: for DESIGN_GRADIENT the coordinate's own slopes, scaled to the trace of the output;
 * for DESIGN_VALUE the mean diagonal, as a shift; and the differences. */
static int decompose_uniform(const score_model *m, const term_system *t, int a) {
  term_cg *c = t->cg;
  int n = c->n_basis, status = STATUS_OK;
  const family *f = t->term[a].f;
  const double *trace = t->trace + a * t->max_coord;
  double lambda = m->cell[t->term[a].cell].lambda, others = (double)f->n_coef / n;
  c->shift[a] =
      mean_diagonal(t, a) * (t->design == DESIGN_VALUE ? 1 : LEAST_EIGENVALUE) +
      (m->penalty.kind == PENALTY_RIDGE ? lambda * penalty_ridge_weight(&m->penalty, f) : 0);
  for (int k = 0; k < f->n_coord && status == STATUS_OK; k++) {
    spectrum *part = &c->part[a * c->max_coord + k];
    double own = 0;
    for (int i = 0; i < n; i++)
      own += part->vectors[i * (n + 1)];
    for (int g = 0; g < n * n; g++)
      part->vectors[g] *= own > 0 ? trace[k] / (own * others) : 0;
    if (m->penalty.kind == PENALTY_DIFFERENCE)
      penalty_add_matrix(&m->penalty, lambda * penalty_weight(&m->penalty, f, k), part->vectors);
    status = kronecker_spectrum_of(part, n, c->work);
  }
  return status;
}

static int prepare_preconditioner(score_model *m, const latent_sample *s, const term_system *t) {
  int status = STATUS_OK;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads) reduction(max : status)
#endif
  for (int a = 0; a < t->n_term; a++)
    if (t->cg->band[a]) {
      int own = factor_band(m, s, t, a, &m->task[threads_index()]);
      status = own > status ? own : status;
    }
  for (int a = 0; a < t->n_term && status == STATUS_OK; a++)
    if (!t->cg->band[a])
      status = decompose_uniform(m, t, a);
  return status;
}

/* The system, as conjugate_gradients() sees it. */
typedef struct {
  const score_model *m;
  const latent_sample *s;
  const term_system *t;
} term_equations;

static void equations_times(void *system, const double *v, double *out) {
  const term_equations *e = system;
  term_design_times(e->m, e->s, e->t, v, out);
  for (size_t g = 0; g < e->t->start[e->t->n_term]; g++)
    out[g] += e->t->ridge * v[g];
}

static void precondition_by_factor(void *system, const double *r, double *out) {
  const term_system *t = ((const term_equations *)system)->t;
  memcpy(out, r, t->start[t->n_term] * sizeof(double));
  block_cholesky_solve(&t->blocks.matrix, out);
}

static void precondition_by_terms(void *system, const double *r, double *out) {
  const term_system *t = ((const term_equations *)system)->t;
  const term_cg *c = t->cg;
  memcpy(out, r, t->start[t->n_term] * sizeof(double));
  for (int a = 0; a < t->n_term; a++) {
    const family *f = t->term[a].f;
    double *own = out + t->start[a];
    if (!c->band[a]) {
      kronecker_inverse(c->part + a * c->max_coord, c->n_basis, 1, f, c->shift[a], r + t->start[a],
                        own, t->sum);
      continue;
    }
    band_shape shape = band_of(f, c->n_basis);
    const int one = 1, ld = (int)shape.ld;
    int info;
    F77_CALL(dpbtrs)
    ("L", &shape.m, &shape.kd, &one, c->band[a], &ld, own, &shape.m, &info FCONE);
  }
}

int term_cg_solve(score_model *m, const latent_sample *s, term_system *t) {
  int factored = t->solver == SOLVER_CHOLESKY, status = STATUS_OK;
  term_equations system = {m, s, t};
  if (factored)
    precondition_by_factor(&system, t->rhs, t->theta);
  else
    status = prepare_preconditioner(m, s, t);
  if (status != STATUS_OK)
    return status;
  const cg_problem problem = {
      .size = t->start[t->n_term],
      .times = equations_times,
      .precondition = factored ? precondition_by_factor : precondition_by_terms,
      .system = &system,
      .goal = (factored ? NEGLIGIBLE : m->set.cg_tol) * t->scale,
      .max_iter = factored ? MAX_CORRECTIONS : m->set.cg_max_iter,
      .most_rise = factored ? MOST_RISE : INFINITY,
      .poll = m->set.poll,
      .residual = t->cg->residual,
      .direction = t->cg->direction,
      .product = t->product,
  };
  cg_result result;
  status = conjugate_gradients(&problem, t->rhs, t->theta, &result);
  if (status == STATUS_OK) {
    t->iterations = factored ? 0 : result.iterations;
    t->unconverged = result.residual > m->set.cg_tol * t->scale;
  }
  return status;
}
