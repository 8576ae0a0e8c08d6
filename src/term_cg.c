#include "term_cg.h"

#include "conjugate_gradients.h"
#include "kronecker.h"

/* Of the mean diagonal, below which the preconditioner takes no eigenvalue to lie. */
static const double LEAST_EIGENVALUE = 1e-4;

struct term_cg {
  int n_basis, max_coord;
  spectrum *part; /* n_term x max_coord: the matrices on one coordinate each */
  double *shift;  /* n_term */
  double *residual, *direction, *work;
};

term_cg *term_cg_new(const term_system *t, const score_model *m, allocator alloc) {
  term_cg *c = alloc(1, sizeof *c);
  size_t n_coef = t->start[t->n_term], n_part = (size_t)t->n_term * (size_t)t->max_coord;
  c->n_basis = m->table.n_basis;
  c->max_coord = t->max_coord;
  c->part = alloc(n_part, sizeof(spectrum));
  for (size_t k = 0; k < n_part; k++)
    c->part[k] = spectrum_new(c->n_basis, alloc);
  c->shift = alloc((size_t)t->n_term, sizeof(double));
  c->residual = alloc(n_coef, sizeof(double));
  c->direction = alloc(n_coef, sizeof(double));
  c->work = alloc(3 * (size_t)c->n_basis, sizeof(double));
  return c;
}

double term_cg_bytes(const term_system *t, int n_basis) {
  double k = n_basis, matrices = (double)t->n_term * t->max_coord;
  return (2 * (double)t->start[t->n_term] + matrices * (k * k + k + 2)) * sizeof(double);
}

double *term_cg_stiffness(term_cg *c, int term, int k) {
  return c->part[term * c->max_coord + k].vectors;
}

/* For each term and coordinate a matrix such that G + P is about the sum of their Kronecker
 * products with identities: for DESIGN_GRADIENT the coordinate's own slopes, scaled to the trace of
 * the output; for DESIGN_VALUE the mean diagonal, as a shift; and the differences. */
static int prepare_preconditioner(const score_model *m, const term_system *t) {
  term_cg *c = t->cg;
  int n = c->n_basis, status = STATUS_OK;
  for (int a = 0; a < t->n_term && status == STATUS_OK; a++) {
    const family *f = t->term[a].f;
    const double *trace = t->trace + a * t->max_coord;
    double lambda = m->cell[t->term[a].cell].lambda, others = (double)f->n_coef / n, mean = 0;
    for (int k = 0; k < t->max_coord; k++)
      mean += trace[k] / (double)f->n_coef;
    c->shift[a] = mean * (t->design == DESIGN_VALUE ? 1 : LEAST_EIGENVALUE) +
                  (m->penalty.kind == PENALTY_RIDGE ? lambda : 0);
    for (int k = 0; k < f->n_coord && status == STATUS_OK; k++) {
      spectrum *part = &c->part[a * c->max_coord + k];
      double own = 0;
      for (int i = 0; i < n; i++)
        own += part->vectors[i * (n + 1)];
      for (int g = 0; g < n * n; g++)
        part->vectors[g] *= own > 0 ? trace[k] / (own * others) : 0;
      if (m->penalty.kind == PENALTY_DIFFERENCE)
        penalty_add_matrix(&m->penalty, lambda, part->vectors);
      status = spectrum_of(part, n, c->work);
    }
  }
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
  term_system_times(e->m, e->s, e->t, v, out);
  for (size_t g = 0; g < e->t->start[e->t->n_term]; g++)
    out[g] += e->t->ridge * v[g];
}

static void equations_precondition(void *system, const double *r, double *out) {
  const term_system *t = ((const term_equations *)system)->t;
  const term_cg *c = t->cg;
  for (int a = 0; a < t->n_term; a++)
    kronecker_inverse(c->part + a * c->max_coord, c->n_basis, 1, t->term[a].f, c->shift[a],
                      r + t->start[a], out + t->start[a], t->sum);
}

int term_cg_solve(const score_model *m, const latent_sample *s, term_system *t) {
  int status = prepare_preconditioner(m, t);
  if (status != STATUS_OK)
    return status;
  term_equations system = {m, s, t};
  const cg_problem problem = {
      .size = t->start[t->n_term],
      .times = equations_times,
      .precondition = equations_precondition,
      .system = &system,
      .goal = m->set.cg_tol * t->scale,
      .max_iter = m->set.cg_max_iter,
      .poll = m->set.poll,
      .residual = t->cg->residual,
      .direction = t->cg->direction,
      .product = t->product,
  };
  cg_result result;
  status = conjugate_gradients(&problem, t->rhs, t->theta, &result);
  if (status == STATUS_OK) {
    t->iterations = result.iterations;
    t->unconverged = result.unconverged;
  }
  return status;
}
