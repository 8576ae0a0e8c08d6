#include "cell_cg.h"

#include "conjugate_gradients.h"
#include "linalg.h"
#include "vectorize.h"

#include <math.h>
#include <string.h>

double cell_cg_bytes(double max_rows, double max_coef, int max_coord) {
  return max_rows * (2 * sizeof(int) + (1 + ORDER * (double)max_coord) * sizeof(double)) +
         (MAX_SHARDS + 5) * max_coef * sizeof(double) +
         MAX_SHARDS * pow(ORDER, max_coord - 1) * sizeof(double);
}

cg_work *cell_cg_new(size_t max_rows, size_t max_coef, int max_coord, allocator alloc) {
  cg_work *w = alloc(1, sizeof *w);
  size_t runs = 1;
  for (int k = 1; k < max_coord; k++)
    runs *= ORDER;
  w->max_rows = max_rows;
  w->max_coef = max_coef;
  w->max_coord = max_coord;
  w->row = alloc(max_rows, sizeof(int));
  w->base = alloc(max_rows, sizeof(int));
  w->weight = alloc(max_rows, sizeof(double));
  w->basis = alloc(max_rows * (size_t)max_coord * ORDER, sizeof(double));
  w->product = alloc(MAX_SHARDS * runs, sizeof(double));
  w->sum = alloc(MAX_SHARDS * max_coef, sizeof(double));
  w->rhs = alloc(max_coef, sizeof(double));
  w->diagonal = alloc(max_coef, sizeof(double));
  w->residual = alloc(max_coef, sizeof(double));
  w->direction = alloc(max_coef, sizeof(double));
  w->scaled = alloc(max_coef, sizeof(double));
  return w;
}

/* What the row loops below share. */
typedef struct {
  const family *f;
  const cg_work *w;
  row_shards shards;
  int threads;
} cell_rows;

static const double *row_basis(const cell_rows *c, size_t i) {
  return c->w->basis + i * (size_t)c->f->n_coord * ORDER;
}

/* Products of the basis values of all coordinates but the last, one a run; head replaces the first
 * coordinate's values (its slopes, for the right-hand side). With one coordinate the run is head.
 */
INLINE const double *run_products(const family *f, const double *basis, const double *head,
                                  double *product) {
  if (f->n_coord == 1) {
    product[0] = 1;
    return head;
  }
  size_t length = ORDER;
  memcpy(product, head, ORDER * sizeof(double));
  for (int k = 1; k < f->n_coord - 1; k++, length *= ORDER)
    outer_product(product, length, basis + k * ORDER);
  return basis + (f->n_coord - 1) * ORDER;
}

static void clear(double *v, size_t m) {
  memset(v, 0, m * sizeof(double));
}

/* total = sum over shards, in shard order. */
static void reduce_shards(double *total, const double *sum, size_t m, int n_shards, int threads) {
  (void)threads;
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) if (m > 4096)
#endif
  for (size_t g = 0; g < m; g++) {
    double t = 0;
    for (int k = 0; k < n_shards; k++)
      t += sum[(size_t)k * m + g];
    total[g] = t;
  }
}

/* sum += Phi' Omega Phi v over rows [from, to). */
WIDE_VECTORS static void gram_times_rows(const cell_rows *c, const double *v, size_t from,
                                         size_t to, double *product, double *sum) {
  const family *f = c->f;
  for (size_t i = from; i < to; i++) {
    const double *basis = row_basis(c, i), *in = v + c->w->base[i];
    const double *last = run_products(f, basis, basis, product);
    double *out = sum + c->w->base[i], acc[ORDER] = {0}, fitted = 0, back[ORDER];
    for (size_t r = 0; r < f->n_run; r++) {
      const double *run = in + f->run_offset[r];
      SIMD for (int t = 0; t < ORDER; t++) acc[t] += product[r] * run[t];
    }
    for (int t = 0; t < ORDER; t++)
      fitted += acc[t] * last[t];
    for (int t = 0; t < ORDER; t++)
      back[t] = c->w->weight[i] * fitted * last[t];
    for (size_t r = 0; r < f->n_run; r++) {
      double *run = out + f->run_offset[r];
      SIMD for (int t = 0; t < ORDER; t++) run[t] += product[r] * back[t];
    }
  }
}

/* out = Phi' Omega Phi v, a pass over the rows. */
static void gram_times(const cell_rows *c, const double *v, double *out) {
  size_t m = c->f->n_coef;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(c->threads)
#endif
  for (int k = 0; k < c->shards.n_shards; k++) {
    double *sum = c->w->sum + (size_t)k * m;
    clear(sum, m);
    gram_times_rows(c, v, shard_start(&c->shards, k), shard_start(&c->shards, k + 1),
                    c->w->product + (size_t)k * c->f->n_run, sum);
  }
  reduce_shards(out, c->w->sum, m, c->shards.n_shards, c->threads);
}

static size_t gather_rows(score_model *m, const latent_sample *s, int c) {
  int node = graph_node(&m->graph, c);
  cg_work *w = m->cg;
  size_t count = 0;
  for (size_t i = 0; i < s->n; i++)
    if (row_cell(s, i, node) == c)
      w->row[count++] = (int)i;
  return count;
}

/* What fill_rows() sums: - omega d_j phi, - omega (d_j phi + g_j phi), omega phi^2. */
enum { SUM_DIVERGENCE, SUM_RHS, SUM_DIAGONAL };

/* The bases of the gathered rows, the right-hand side - sum omega (d_j phi + g_j phi), with g = 0
 * where there is no reference score, and the diagonal. Returns the norm of the right-hand side; of
 * that without the reference if it is larger: a good reference leaves little but rounding. */
static double fill_rows(score_model *m, const latent_sample *s, const cell_rows *c) {
  const family *f = c->f;
  cg_work *w = m->cg;
  size_t n_coef = f->n_coef;
  double norm = 0;
  for (int pass = s->reference ? SUM_DIVERGENCE : SUM_RHS; pass <= SUM_DIAGONAL; pass++) {
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(c->threads)
#endif
    for (int k = 0; k < c->shards.n_shards; k++) {
      double *sum = w->sum + (size_t)k * n_coef, *product = w->product + (size_t)k * f->n_run;
      clear(sum, n_coef);
      for (size_t i = shard_start(&c->shards, k); i < shard_start(&c->shards, k + 1); i++) {
        double *basis = w->basis + i * (size_t)f->n_coord * ORDER, head[ORDER], slope[ORDER];
        size_t base = 0;
        for (int q = 0; q < f->n_coord; q++) {
          int j = f->coord[q];
          double lo = m->range[2 * j], hi = m->range[2 * j + 1];
          int first = bspline_at(&m->table, lo, (m->table.knots - 1) / (hi - lo),
                                 s->y[(size_t)j * s->n + (size_t)w->row[i]], basis + q * ORDER,
                                 q == 0 ? slope : NULL);
          base += (size_t)first * f->stride[q];
        }
        w->base[i] = (int)base;
        w->weight[i] = row_weight(s, (size_t)w->row[i]);
        memcpy(head, pass == SUM_DIAGONAL ? basis : slope, sizeof head);
        if (pass == SUM_RHS && s->reference)
          for (int t = 0; t < ORDER; t++)
            head[t] += s->reference[(size_t)f->coord[0] * s->n + (size_t)w->row[i]] * basis[t];
        const double *last = run_products(f, basis, head, product);
        for (size_t r = 0; r < f->n_run; r++)
          for (int t = 0; t < ORDER; t++) {
            double phi = product[r] * last[t];
            sum[base + f->run_offset[r] + (size_t)t] +=
                w->weight[i] * (pass == SUM_DIAGONAL ? phi * phi : -phi);
          }
      }
    }
    double *total = pass == SUM_DIAGONAL ? w->diagonal : w->rhs;
    reduce_shards(total, w->sum, n_coef, c->shards.n_shards, c->threads);
    if (pass != SUM_DIAGONAL)
      norm = fmax(norm, sqrt(linalg_dot(total, total, n_coef)));
  }
  return norm;
}

/* The equations of a cell, as conjugate_gradients() sees them. */
typedef struct {
  const score_model *m;
  cell_rows rows;
  double lambda, shift; /* shift: mean diagonal of the Gram matrix */
} cell_equations;

static void equations_times(void *system, const double *v, double *out) {
  const cell_equations *e = system;
  gram_times(&e->rows, v, out);
  penalty_apply(&e->m->penalty, e->lambda, e->rows.f, v, out);
}

/* Ridge: by the diagonal. Difference: the Gram matrix is near a multiple of the identity where
 * there are data, and the penalty rules where there are none, so by (lambda P + c I)^-1, c the mean
 * diagonal of the Gram matrix; the Kronecker form of P makes this cheap. */
static void equations_precondition(void *system, const double *r, double *out) {
  const cell_equations *e = system;
  cg_work *w = e->m->cg;
  if (e->m->penalty.kind == PENALTY_DIFFERENCE) {
    penalty_shifted_inverse(&e->m->penalty, e->lambda, e->rows.f, e->shift, r, out, w->sum);
    return;
  }
  for (size_t g = 0; g < e->rows.f->n_coef; g++) {
    double d = w->diagonal[g] + e->lambda;
    out[g] = d > 0 ? r[g] / d : 0; /* an equation no row touches is solved by 0 */
  }
}

int cell_cg_fit(score_model *m, const latent_sample *s, int c) {
  score_cell *cell = &m->cell[c];
  const family *f = cell->term;
  cg_work *w = m->cg;
  cell_equations system = {
      m, {f, w, shard_rows(gather_rows(m, s, c)), m->set.threads}, cell->lambda, 0};

  double scale = fill_rows(m, s, &system.rows);
  for (size_t g = 0; g < f->n_coef; g++)
    system.shift += w->diagonal[g] / (double)f->n_coef;
  const cg_problem problem = {
      .size = f->n_coef,
      .times = equations_times,
      .precondition = equations_precondition,
      .system = &system,
      .goal = m->set.cg_tol * scale,
      .max_iter = m->set.cg_max_iter,
      .most_rise = INFINITY,
      .poll = m->set.poll,
      .residual = w->residual,
      .direction = w->direction,
      .product = w->scaled,
  };
  cg_result result;
  int status = conjugate_gradients(&problem, w->rhs, cell->theta, &result);
  if (status == STATUS_OK) {
    cell->cg_iterations = result.iterations;
    cell->unconverged = result.residual > problem.goal;
  }
  return status;
}

static void sum_held_out(score_model *m, const latent_sample *test, int cell, double *square,
                         double *slope) {
  const family *f = m->cell[cell].term;
  const double *theta = m->cell[cell].theta;
  cell_rows rows = {f, m->cg, shard_rows(gather_rows(m, test, cell)), m->set.threads};
  fill_rows(m, test, &rows);
  gram_times(&rows, theta, m->cg->scaled);
  *square = linalg_dot(theta, m->cg->scaled, f->n_coef);
  *slope = -linalg_dot(theta, m->cg->rhs, f->n_coef);
}

void cell_cg_held_out(score_model *m, const latent_sample *train, const latent_sample *test,
                      int cell, const double *lambda, int n_weights, held_out_sums *sums) {
  const score_settings set = m->set;
  const score_cell before = m->cell[cell];
  size_t n_coef = m->cell[cell].term->n_coef;
  memcpy(m->trial, before.theta, n_coef * sizeof(double));
  m->set = rough_settings(set);
  for (int k = n_weights - 1; k >= 0; k--) {
    size_t at = (size_t)k * (size_t)m->n_cells + (size_t)cell;
    m->cell[cell].lambda = lambda[at];
    int status = cell_cg_fit(m, train, cell);
    sum_held_out(m, test, cell, &sums->square[at], &sums->slope[at]);
    if (status != STATUS_OK) {
      sums->square[at] = INFINITY;
      memcpy(before.theta, m->trial, n_coef * sizeof(double));
    }
  }
  memcpy(before.theta, m->trial, n_coef * sizeof(double));
  m->cell[cell] = before;
  m->set = set;
}
