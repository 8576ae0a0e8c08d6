#include "term_design.h"

#include "vectorize.h"

#include <math.h>
#include <string.h>

/* Ridge of what is factored: of the mean diagonal of the Gram matrix (a constant, which has no
 * gradient, would else be magnified from a rounding error), and of that of the penalty; and of
 * equations without a factor, which need it against rounding alone: of the former. */
static const double GRAM_SHARE = 1e-6, PENALTY_SHARE = 1e-12, CG_SHARE = 1e-12;

/* Outputs that two terms share, by their positions among the coordinates of each. */
typedef struct {
  int n, k[2][MAX_COORD];
} shared_outputs;

static shared_outputs shared_outputs_of(design_kind design, const family *f, const family *g) {
  shared_outputs o = {0};
  if (design == DESIGN_VALUE) {
    o.n = 1;
    o.k[0][0] = o.k[1][0] = -1;
    return o;
  }
  for (int a = 0; a < f->n_coord; a++)
    for (int b = 0; b < g->n_coord; b++)
      if (f->coord[a] == g->coord[b]) {
        o.k[0][o.n] = a;
        o.k[1][o.n++] = b;
      }
  return o;
}

/* The bases of a term's coordinates at the rows that are listed. */
static void fill_coordinates(const score_model *m, const latent_sample *s, const family *f,
                             task_work *t, int rows) {
  for (int k = 0; k < f->n_coord; k++) {
    int j = f->coord[k];
    const double *y = s->y + (size_t)j * s->n;
    double *gathered = t->terms.rows + (size_t)j * BLOCK_ROWS;
    for (int i = 0; i < rows; i++)
      gathered[i] = y[t->terms.row[i]];
    basis_block_fill(&t->block, &m->table, m->range + 2 * j, t->terms.rows, BLOCK_ROWS, j, 0, rows);
  }
}

/* Gathers up to BLOCK_ROWS rows that two terms are both active in, from *next on, into the task's
 * block (bases of their coordinates) and its list of rows; moves *next. Returns their number. */
static int gather_block(const score_model *m, const latent_sample *s, system_term a, system_term b,
                        task_work *t, size_t *next) {
  int rows = 0;
  for (; *next < s->n && rows < BLOCK_ROWS; ++*next)
    if (row_cell(s, *next, graph_node(&m->graph, a.cell)) == a.cell &&
        row_cell(s, *next, graph_node(&m->graph, b.cell)) == b.cell)
      t->terms.row[rows++] = (int)*next;
  fill_coordinates(m, s, a.f, t, rows);
  if (b.f != a.f)
    fill_coordinates(m, s, b.f, t, rows);
  return rows;
}

/* to (column by column, ld apart) += w sum_o f_o g_o', features of two terms; of one term with
 * itself the lower triangle. n_out features of each, 4^q apart. */
INLINE void add_products(double *to, size_t ld, const family *f, const family *g, int n_out,
                         double w, const double *features_f, const double *features_g,
                         double *run) {
  size_t local_f = f->n_run * ORDER, local_g = g->n_run * ORDER;
  for (size_t b = 0; b < local_g; b++) {
    size_t from = f == g ? b / ORDER : 0;
    double *column = to + (g->run_offset[b / ORDER] + b % ORDER) * ld;
    for (size_t a = from * ORDER; a < local_f; a++)
      run[a] = w * features_g[b] * features_f[a];
    for (int o = 1; o < n_out; o++) {
      double factor = w * features_g[(size_t)o * local_g + b];
      const double *more = features_f + (size_t)o * local_f;
      SIMD for (size_t a = from * ORDER; a < local_f; a++) run[a] += factor * more[a];
    }
    for (size_t r = from; r < f->n_run; r++) {
      double *out = column + f->run_offset[r];
      SIMD for (size_t t = 0; t < ORDER; t++) out[t] += run[r * ORDER + t];
    }
  }
}

/* Adds the Gram matrix's block of two terms, a below b, of columns ld apart. */
WIDE_VECTORS static void assemble_block(const score_model *m, const latent_sample *s,
                                        const term_system *t, int a, int b, double *block,
                                        size_t ld, task_work *task) {
  const family *f = t->term[a].f, *g = t->term[b].f;
  const double *features = task->terms.features[a == b ? 0 : 1];
  shared_outputs o = shared_outputs_of(t->design, f, g);
  basis_part part = t->design == DESIGN_VALUE ? BY_VALUE : BY_SLOPE;
  size_t next = 0;
  while (next < s->n) {
    int rows = gather_block(m, s, t->term[a], t->term[b], task, &next);
    for (int i = 0; i < rows; i++) {
      for (int k = 0; k < o.n; k++) {
        term_features(f, &task->block, i, o.k[0][k], part,
                      task->terms.features[0] + (size_t)k * f->n_run * ORDER);
        if (a != b)
          term_features(g, &task->block, i, o.k[1][k], part,
                        task->terms.features[1] + (size_t)k * g->n_run * ORDER);
      }
      add_products(block + family_base(f, &task->block, i) + family_base(g, &task->block, i) * ld,
                   ld, f, g, o.n, row_weight(s, (size_t)task->terms.row[i]),
                   task->terms.features[0], features, task->terms.run);
    }
  }
}

static double sum_of_squares(const double *v) {
  return v[0] * v[0] + v[1] * v[1] + v[2] * v[2] + v[3] * v[3];
}

/* rhs -= w features, of a row. */
INLINE void subtract_features(const family *f, double w, const double *features, double *rhs) {
  for (size_t r = 0; r < f->n_run; r++)
    for (size_t a = 0; a < ORDER; a++)
      rhs[f->run_offset[r] + a] -= w * features[r * ORDER + a];
}

/* Adds -div g of a gathered row to the right-hand side, and with a score known beforehand, which
 * theta corrects, - sum_o g_o times its component to `known`. */
INLINE void add_divergence(const term_system *t, const latent_sample *s, const family *f,
                           const task_work *task, int row, double w, double *rhs, double *known) {
  const basis_block *b = &task->block;
  int value = t->design == DESIGN_VALUE;
  double *features = task->terms.run;
  rhs += family_base(f, b, row);
  known += family_base(f, b, row);
  for (int k = 0; k < (value ? 1 : f->n_coord); k++) {
    term_features(f, b, row, k, value ? BY_SLOPE : BY_CURVE, features);
    subtract_features(f, w, features, rhs);
    if (s->reference) {
      size_t at = (size_t)f->coord[k] * s->n + (size_t)task->terms.row[row];
      term_features(f, b, row, value ? -1 : k, value ? BY_VALUE : BY_SLOPE, features);
      subtract_features(f, w * s->reference[at], features, known);
    }
  }
}

/* Adds a row to the traces of the Gram matrix's diagonal block, a trace an output, and for the
 * preconditioner to the one-coordinate sums. */
INLINE void add_traces(const term_system *t, const family *f, const basis_block *b, int row,
                       double w, double *trace, double *const *stiffness, int n_basis) {
  double all = 1;
  for (int k = 0; k < f->n_coord; k++)
    all *= sum_of_squares(b->value + family_basis_at(f, k, row));
  if (t->design == DESIGN_VALUE) {
    trace[0] += w * all;
    return;
  }
  for (int k = 0; k < f->n_coord; k++) {
    size_t at = family_basis_at(f, k, row);
    const double *slope = b->slope + at;
    trace[k] += w * all * sum_of_squares(slope) / sum_of_squares(b->value + at);
    if (!stiffness)
      continue;
    double *sum = stiffness[k] + b->first[at / ORDER] * (n_basis + 1);
    for (int p = 0; p < ORDER; p++)
      for (int q = p; q < ORDER; q++)
        sum[q + p * n_basis] += w * slope[p] * slope[q];
  }
}

/* Right-hand side and traces of a term; of the former what a known score adds, in t->product. */
WIDE_VECTORS static void sum_term(const score_model *m, const latent_sample *s, term_system *t,
                                  int a, task_work *task) {
  const family *f = t->term[a].f;
  int n_basis = m->table.n_basis;
  double *rhs = t->rhs + t->start[a], *known = t->product + t->start[a];
  double *trace = t->trace + a * t->max_coord, *stiffness[MAX_COORD];
  int uniform = t->blocks.stiffness && t->blocks.stiffness[a * t->max_coord];
  for (int k = 0; uniform && k < f->n_coord; k++) {
    stiffness[k] = t->blocks.stiffness[a * t->max_coord + k];
    memset(stiffness[k], 0, (size_t)n_basis * (size_t)n_basis * sizeof(double));
  }
  memset(rhs, 0, f->n_coef * sizeof(double));
  memset(known, 0, f->n_coef * sizeof(double));
  memset(trace, 0, (size_t)t->max_coord * sizeof(double));
  for (size_t next = 0; next < s->n;) {
    int rows = gather_block(m, s, t->term[a], t->term[a], task, &next);
    for (int i = 0; i < rows; i++) {
      double w = row_weight(s, (size_t)task->terms.row[i]);
      add_divergence(t, s, f, task, i, w, rhs, known);
      add_traces(t, f, &task->block, i, w, trace, uniform ? stiffness : NULL, n_basis);
    }
  }
}

void term_design_sums(score_model *m, const latent_sample *s, term_system *t) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int a = 0; a < t->n_term; a++)
    sum_term(m, s, t, a, &m->task[threads_index()]);
  double gram = 0, penalty = 0, divergence = 0, both = 0;
  for (size_t g = 0; g < t->start[t->n_term]; g++) {
    divergence += t->rhs[g] * t->rhs[g];
    t->rhs[g] += t->product[g];
    both += t->rhs[g] * t->rhs[g];
  }
  t->scale = sqrt(fmax(divergence, both));
  for (int k = 0; k < t->n_term * t->max_coord; k++)
    gram += t->trace[k];
  for (int a = 0; a < t->n_term; a++)
    penalty += m->cell[t->term[a].cell].lambda * penalty_tensor_trace(&m->penalty, t->term[a].f);
  double n_coef = (double)t->start[t->n_term];
  t->ridge = t->solver == SOLVER_CHOLESKY ? 0 : CG_SHARE * gram / n_coef;
  t->blocks.ridge = (GRAM_SHARE * gram + PENALTY_SHARE * penalty) / n_coef;
}

/* Blocks are filled by one thread each, all rows in order. */
void term_design_assemble(score_model *m, const latent_sample *s, term_system *t) {
  memset(t->blocks.matrix.value, 0, t->blocks.matrix.size * sizeof(double));
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int p = 0; p < t->blocks.n_pair; p++) {
    int below =
        block_cholesky_below(&t->blocks.matrix, t->blocks.pair[2 * p], t->blocks.pair[2 * p + 1]);
    int a = t->blocks.pair[2 * p + !below], b = t->blocks.pair[2 * p + below];
    size_t ld;
    double *block = block_cholesky_at(&t->blocks.matrix, a, b, &ld);
    assemble_block(m, s, t, a, b, block, ld, &m->task[threads_index()]);
  }
}

void term_design_penalty(const score_model *m, const term_system *t, int a, double ridge,
                         double *block, size_t ld) {
  const family *f = t->term[a].f;
  penalty_add_band(&m->penalty, m->cell[t->term[a].cell].lambda, f, block, ld + 1);
  for (size_t g = 0; g < f->n_coef; g++)
    block[g * (ld + 1)] += ridge;
}

void term_design_own_band(const score_model *m, const latent_sample *s, const term_system *t, int a,
                          double ridge, double *band, size_t ld, task_work *task) {
  memset(band, 0, t->term[a].f->n_coef * ld * sizeof(double));
  assemble_block(m, s, t, a, a, band, ld - 1, task);
  term_design_penalty(m, t, a, ridge, band, ld - 1);
}

/* Outputs of a row from the terms of a cell: u_o += g_o'v. */
static void add_outputs(const term_system *t, int first, int n_term, const basis_block *b, int row,
                        const double *v, double *work, double *u) {
  for (int a = first; a < first + n_term; a++) {
    const family *f = t->term[a].f;
    jet at;
    term_jet(f, b, row, v + t->start[a], t->design == DESIGN_VALUE ? JET_VALUE : JET_GRADIENT, work,
             &at);
    if (t->design == DESIGN_VALUE)
      u[f->coord[0]] += at.value;
    else
      for (int k = 0; k < f->n_coord; k++)
        u[f->coord[k]] += at.gradient[k];
  }
}

/* And back: out += w sum_o g_o u_o. */
static void add_back(const term_system *t, int first, int n_term, const basis_block *b, int row,
                     const double *u, double w, double *work, double *out) {
  for (int a = first; a < first + n_term; a++) {
    const family *f = t->term[a].f;
    double slope[MAX_COORD];
    for (int k = 0; k < f->n_coord; k++)
      slope[k] = w * u[f->coord[k]];
    if (t->design == DESIGN_VALUE)
      term_add(f, b, row, slope[0], NULL, work, out + t->start[a]);
    else
      term_add(f, b, row, 0, slope, work, out + t->start[a]);
  }
}

/* out += G v over a block of rows. */
static void gram_times_block(const score_model *m, const latent_sample *s, const term_system *t,
                             task_work *task, size_t start, int rows, const double *v,
                             double *out) {
  double *u = task->terms.rows, *work = task->terms.jet;
  for (int j = 0; j < m->d; j++)
    basis_block_fill(&task->block, &m->table, m->range + 2 * j, s->y, s->n, j, start, rows);
  for (int i = 0; i < rows; i++) {
    double w = row_weight(s, start + (size_t)i);
    memset(u, 0, (size_t)m->d * sizeof(double));
    for (int back = 0; back < 2; back++)
      for (int j = 0; j < m->d; j++) {
        int c = row_cell(s, start + (size_t)i, j), first = t->first_term[c];
        if (first < 0)
          continue;
        if (back)
          add_back(t, first, m->cell[c].n_term, &task->block, i, u, w, work, out);
        else
          add_outputs(t, first, m->cell[c].n_term, &task->block, i, v, work, u);
      }
  }
}

void term_design_times(const score_model *m, const latent_sample *s, const term_system *t,
                       const double *v, double *out) {
  size_t n_coef = t->start[t->n_term];
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int k = 0; k < m->shards.n_shards; k++) {
    size_t end = shard_start(&m->shards, k + 1);
    double *sum = t->sum + (size_t)k * n_coef;
    memset(sum, 0, n_coef * sizeof(double));
    for (size_t start = shard_start(&m->shards, k); start < end; start += BLOCK_ROWS)
      gram_times_block(m, s, t, &m->task[k], start,
                       end - start < BLOCK_ROWS ? (int)(end - start) : BLOCK_ROWS, v, sum);
  }
  for (size_t g = 0; g < n_coef; g++) {
    out[g] = 0;
    for (int k = 0; k < m->shards.n_shards; k++)
      out[g] += t->sum[(size_t)k * n_coef + g];
  }
  for (int a = 0; a < t->n_term; a++)
    penalty_apply(&m->penalty, m->cell[t->term[a].cell].lambda, t->term[a].f, v + t->start[a],
                  out + t->start[a]);
}

/* The terms of the cells that have rows. */
static void list_terms(const score_model *m, term_system *t, const int *cell, int n_cell,
                       allocator alloc) {
  size_t count = 0;
  for (int c = 0; c < n_cell; c++)
    count += m->cell[cell[c]].n_rows > 0 ? (size_t)m->cell[cell[c]].n_term : 0;
  t->term = alloc(count, sizeof(system_term));
  t->start = alloc(count + 1, sizeof(size_t));
  t->first_term = alloc((size_t)m->n_cells, sizeof(int));
  t->start[0] = 0;
  for (int c = 0; c < m->n_cells; c++)
    t->first_term[c] = -1;
  for (int c = 0; c < n_cell; c++) {
    const score_cell *from = &m->cell[cell[c]];
    if (from->n_rows == 0)
      continue;
    t->first_term[cell[c]] = t->n_term;
    for (int k = 0; k < from->n_term; k++, t->n_term++) {
      system_term term = {&from->term[k], cell[c]};
      t->term[t->n_term] = term;
      t->start[t->n_term + 1] = t->start[t->n_term] + from->term[k].n_coef;
      t->max_coord = from->term[k].n_coord > t->max_coord ? from->term[k].n_coord : t->max_coord;
    }
  }
}

term_system *term_design_new(const score_model *m, design_kind design, const int *cell, int n_cell,
                             allocator alloc) {
  term_system *t = alloc(1, sizeof *t);
  memset(t, 0, sizeof *t);
  t->design = design;
  list_terms(m, t, cell, n_cell, alloc);
  return t;
}

/* Rows that two cells have in common. */
static double common_rows(const latent_sample *s, const size_t *domain_rows, int a, int b) {
  size_t n_domains = (size_t)s->n_domains;
  int states = s->n_states;
  const int *ta = s->targets + (size_t)(a / states) * n_domains;
  const int *tb = s->targets + (size_t)(b / states) * n_domains;
  double rows = 0;
  for (size_t e = 0; e < n_domains; e++)
    rows += ta[e] == a % states && tb[e] == b % states ? (double)domain_rows[e] : 0;
  return rows;
}

double term_design_links(const latent_sample *s, term_system *t, unsigned char *linked,
                         allocator alloc) {
  size_t n = (size_t)t->n_term, *domain_rows = alloc((size_t)s->n_domains, sizeof(size_t));
  double flops = 0;
  memset(domain_rows, 0, (size_t)s->n_domains * sizeof(size_t));
  for (size_t i = 0; i < s->n; i++)
    domain_rows[s->env[i] - 1]++;
  t->blocks.pair = alloc(n * (n + 1), sizeof(int));
  memset(linked, 0, n * n);
  for (int a = 0; a < t->n_term; a++)
    for (int b = 0; b <= a; b++) {
      const family *f = t->term[a].f, *g = t->term[b].f;
      shared_outputs o = shared_outputs_of(t->design, f, g);
      double rows = common_rows(s, domain_rows, t->term[a].cell, t->term[b].cell);
      if (o.n == 0 || rows == 0)
        continue;
      linked[(size_t)a + (size_t)b * n] = linked[(size_t)b + (size_t)a * n] = 1;
      t->blocks.pair[2 * t->blocks.n_pair] = a;
      t->blocks.pair[2 * t->blocks.n_pair++ + 1] = b;
      double local = (double)f->n_run * (double)g->n_run * ORDER * ORDER;
      flops += rows * local * (1 + o.n) / (a == b ? 2 : 1);
    }
  return flops;
}
