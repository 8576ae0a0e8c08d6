#include "score.h"

#include "cell_cg.h"
#include "term_system.h"

#include <math.h>
#include <string.h>

/* Iterations of conjugate gradients that a choice of solver reckons with. */
enum { TYPICAL_CG_ITERATIONS = 60 };

/* What a cell that is a tensor costs. */
typedef struct {
  solver_kind solver;
  double own_bytes;    /* its coefficients and normal equations */
  double shared_bytes; /* work that cells use in turn: the largest counts */
} cell_plan;

static cell_plan plan_cell(double n_rows, int n_coord, double n_total, const score_settings *set) {
  int n_basis = set->knots + 2;
  double local = pow(ORDER, n_coord), m = pow(n_basis, n_coord);
  double kd = band_width(n_coord, n_basis), band = (kd + 2 + BAND_PADDING) * m + BAND_PADDING;
  double cholesky = n_rows * local * local / 2 + m * kd * kd;
  double cg = TYPICAL_CG_ITERATIONS * (2.5 * n_rows * local + 10 * m);
  cell_plan p = {set->solver, 0, 0};
  if (set->solver == SOLVER_AUTO)
    p.solver = cholesky <= cg ? SOLVER_CHOLESKY : SOLVER_CG;
  if (p.solver == SOLVER_CHOLESKY) {
    double copies = band <= SHARED_BAND ? fmin(MAX_SHARDS, ceil(n_total / SHARD_ROWS)) : 1;
    p.own_bytes = (copies * band + m) * sizeof(double);
    p.shared_bytes = band * sizeof(double);
    p.own_bytes += set->cross_validate ? band * sizeof(double) : 0;
  } else {
    p.own_bytes = m * sizeof(double);
    p.shared_bytes = cell_cg_bytes(n_rows, m, n_coord);
  }
  if (set->cross_validate)
    p.shared_bytes += 2 * m * sizeof(double);
  return p;
}

/* A cell that a term system fits, with others or for its several terms. */
static int in_system(const score_model *m, const score_cell *cell) {
  return m->set.kind->joint || cell->n_term > 1;
}

/* Scratch of all tasks together. */
static double task_bytes(const score_model *m) {
  double tasks = m->shards.n_shards + m->d, functions = m->set.kind->curved ? 3 : 2;
  double block = (double)m->d * BLOCK_ROWS * (functions * ORDER * sizeof(double) + sizeof(int));
  double local = 2.25 * pow(ORDER, m->max_coord),
         pairs = (double)pair_sums_size(m->set.knots) * m->graph.n_states;
  double terms = m->n_system > 0 ? term_work_bytes(m->d, m->max_coord) : 0;
  return tasks * (block + (local + pairs) * sizeof(double) + terms);
}

/* Families, rows and terms of the cells. */
static void list_cells(score_model *m, const latent_sample *s, allocator alloc) {
  const causal_graph *g = &m->graph;
  m->cell = alloc((size_t)m->n_cells, sizeof(score_cell));
  memset(m->cell, 0, (size_t)m->n_cells * sizeof(score_cell));
  for (int c = 0; c < m->n_cells; c++) {
    score_cell *cell = &m->cell[c];
    int node = graph_node(g, c), q = 1 + graph_acting(g, node, graph_state(g, c));
    int size = term_size(m->set.interaction, q);
    cell->n_term = term_count(m->set.interaction, q);
    cell->term = terms_new(m->set.interaction, g->family[node], q, m->table.n_basis, alloc);
    cell->lambda = m->set.lambda;
    m->max_coord = size > m->max_coord ? size : m->max_coord;
  }
  for (size_t i = 0; i < s->n; i++)
    for (int j = 0; j < m->d; j++)
      m->cell[row_cell(s, i, j)].n_rows++;
}

/* One system over all cells for the Markov score, else one a cell of several terms. */
static void plan_systems(score_model *m, const latent_sample *s, allocator alloc) {
  size_t n_cell = (size_t)m->n_cells;
  int *cell = alloc(n_cell, sizeof(int)), joint = m->set.kind->joint;
  m->system = alloc(n_cell, sizeof(term_system *));
  for (int c = 0; c < m->n_cells; c++)
    cell[c] = c;
  if (joint)
    m->system[m->n_system++] = term_system_plan(m, s, DESIGN_GRADIENT, cell, m->n_cells, alloc);
  for (int c = 0; c < m->n_cells && !joint; c++)
    if (m->cell[c].n_rows > 0 && in_system(m, &m->cell[c]))
      m->system[m->n_system++] = term_system_plan(m, s, DESIGN_VALUE, &cell[c], 1, alloc);
}

static void plan_solvers(score_model *m, const latent_sample *s, allocator alloc) {
  double shared = 0;
  plan_systems(m, s, alloc);
  for (int c = 0; c < m->n_cells; c++) {
    score_cell *cell = &m->cell[c];
    if (cell->n_rows == 0) {
      cell->solver = SOLVER_NONE;
    } else if (!in_system(m, cell)) {
      cell_plan plan = plan_cell((double)cell->n_rows, cell->term->n_coord, (double)s->n, &m->set);
      cell->solver = plan.solver;
      m->bytes += plan.own_bytes;
      shared = fmax(shared, plan.shared_bytes);
    }
  }
  for (int k = 0; k < m->n_system; k++) {
    const term_system *t = m->system[k];
    for (int a = 0; a < t->n_term; a++)
      m->cell[t->term[a].cell].solver = t->solver;
    m->bytes += t->bytes;
  }
  m->bytes += shared + task_bytes(m);
}

score_model *score_model_plan(const latent_sample *s, const causal_graph *g, const double *range,
                              const score_settings *set, allocator alloc) {
  size_t d = (size_t)s->d;
  score_model *m = alloc(1, sizeof *m);
  memset(m, 0, sizeof *m);
  m->d = s->d;
  m->graph = *g;
  m->n_cells = graph_cells(g);
  m->set = *set;
  m->shards = shard_rows(s->n);
  m->set.threads = set->threads < m->shards.n_shards ? set->threads : m->shards.n_shards;
  m->table =
      bspline_table_fill(set->knots, alloc((size_t)bspline_table_size(set->knots), sizeof(double)));
  m->penalty = penalty_new(set->penalty_kind, m->set.kind->curved ? 3 : 2, set->knots, alloc);
  m->range = alloc(2 * d, sizeof(double));
  m->penalty_weight = m->set.kind->curved ? alloc(d, sizeof(double)) : NULL;
  m->penalty.weight = m->penalty_weight;
  m->data_range = range == NULL;
  if (range)
    memcpy(m->range, range, 2 * d * sizeof(double));
  list_cells(m, s, alloc);
  plan_solvers(m, s, alloc);
  return m;
}

/* Memory for a tensor cell's coefficients and band. */
static void allocate_cell(score_model *m, int c, allocator alloc) {
  score_cell *cell = &m->cell[c];
  cell->theta = alloc(cell->term->n_coef, sizeof(double));
  memset(cell->theta, 0, cell->term->n_coef * sizeof(double));
  if (cell->solver == SOLVER_CHOLESKY) {
    size_t total = band_of(cell->term, m->table.n_basis).total;
    cell->gram = alloc(total * (size_t)cell_band_copies(m, c), sizeof(double));
    if (m->set.cross_validate)
      cell->test_gram = alloc(total, sizeof(double));
  }
}

/* Allocates what the cells' solvers need; the factor and the cg work are shared by all cells. */
static void allocate_cells(score_model *m, allocator alloc) {
  size_t cg_rows = 0, cg_coef = 0, factor = 0, most = 0;
  int cg_coord = 0;
  for (int c = 0; c < m->n_cells; c++) {
    score_cell *cell = &m->cell[c];
    const family *f = cell->term;
    if (cell->solver == SOLVER_NONE || in_system(m, cell))
      continue;
    allocate_cell(m, c, alloc);
    most = f->n_coef > most ? f->n_coef : most;
    if (cell->solver == SOLVER_CHOLESKY) {
      size_t total = band_of(f, m->table.n_basis).total;
      factor = total > factor ? total : factor;
    } else {
      cg_rows = cell->n_rows > cg_rows ? cell->n_rows : cg_rows;
      cg_coef = f->n_coef > cg_coef ? f->n_coef : cg_coef;
      cg_coord = f->n_coord > cg_coord ? f->n_coord : cg_coord;
    }
  }
  m->factor = factor ? alloc(factor, sizeof(double)) : NULL;
  m->trial = m->set.cross_validate ? alloc(2 * most, sizeof(double)) : NULL;
  m->cg = cg_coef ? cell_cg_new(cg_rows, cg_coef, cg_coord, alloc) : NULL;
}

static void allocate_systems(score_model *m, allocator alloc) {
  for (int k = 0; k < m->n_system; k++) {
    term_system *t = m->system[k];
    term_system_allocate(t, m, alloc);
    for (int c = 0; c < m->n_cells; c++)
      if (t->first_term[c] >= 0)
        m->cell[c].theta = t->theta + t->start[t->first_term[c]];
  }
}

static void allocate_tasks(score_model *m, allocator alloc) {
  int n_tasks = m->shards.n_shards + m->d;
  size_t runs = 1;
  for (int k = 1; k < m->max_coord; k++)
    runs *= ORDER;
  m->task = alloc((size_t)n_tasks, sizeof(task_work));
  for (int k = 0; k < n_tasks; k++) {
    task_work *t = &m->task[k];
    t->block = basis_block_new(m->d, m->set.kind->curved, alloc);
    t->product = alloc(runs, sizeof(double));
    t->phi = alloc(runs * ORDER, sizeof(double));
    t->dphi = alloc(runs * ORDER, sizeof(double));
    t->pair = workspace_doubles(pair_sums_size(m->set.knots) * (size_t)m->graph.n_states, alloc);
    if (m->n_system > 0)
      t->terms = term_work_new(m->d, m->max_coord, alloc);
  }
}

score_model *score_model_new(const latent_sample *s, const causal_graph *g, const double *range,
                             const score_settings *set, allocator alloc) {
  score_model *m = score_model_plan(s, g, range, set, alloc);
  allocate_cells(m, alloc);
  allocate_systems(m, alloc);
  allocate_tasks(m, alloc);
  return m;
}

/* The kinds of score, a line each. */
#define SCORE_CLASSES(LINE)                                                                        \
  LINE(score_causal)                                                                               \
  LINE(score_markov)

#define DECLARE(name) extern const score_class name;
#define ADDRESS(name) &name,
SCORE_CLASSES(DECLARE)
static const score_class *const score_classes[] = {SCORE_CLASSES(ADDRESS)};

const score_class *score_class_named(const char *name) {
  for (size_t k = 0; k < sizeof score_classes / sizeof *score_classes; k++)
    if (strcmp(score_classes[k]->name, name) == 0)
      return score_classes[k];
  return NULL;
}
