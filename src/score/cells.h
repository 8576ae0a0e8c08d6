/* Cells of a score model: for each node and target state a family of coordinates (the node and its
 * parents; the node alone where an intervention cut them off) with its own coefficients, and the
 * memory that their fits share.
 */
#ifndef EBCRL_CELLS_H
#define EBCRL_CELLS_H

#include "band.h"
#include "bspline.h"
#include "family.h"
#include "graph.h"
#include "pairs.h"
#include "penalty.h"
#include "rows.h"
#include "terms.h"

typedef enum { SOLVER_AUTO, SOLVER_CHOLESKY, SOLVER_CG, SOLVER_NONE, N_SOLVERS } solver_kind;

/* Their names. */
extern const char *const cells_solver_names[N_SOLVERS];

/* What tells one kind of score from another: score_class.h. */
typedef struct score_class score_class;

typedef struct {
  const score_class *kind;
  interaction_kind interaction;
  int knots;
  penalty_kind penalty_kind;
  double lambda;      /* every cell's, unless chosen from the data: smoothing.h */
  solver_kind solver; /* AUTO: by cost, cell by cell */
  double cg_tol;      /* relative residual */
  int cg_max_iter;
  int cross_validate; /* held_out() will be called */
  int threads;
  void (*poll)(void); /* called between long steps, outside parallel regions; may not return */
} score_settings;

/* Settings of conjugate gradients for losses on held-out rows, which need no more than a rough
 * solution: a relative residual of 1e-4, or 100 iterations. */
static inline score_settings rough_settings(score_settings set) {
  set.cg_tol = set.cg_tol > 1e-4 ? set.cg_tol : 1e-4;
  set.cg_max_iter = set.cg_max_iter < 100 ? set.cg_max_iter : 100;
  return set;
}

/* One (node, target state). */
typedef struct {
  size_t n_rows;
  int n_term;         /* phi'theta is a sum of so many terms (terms.h), alike in size */
  const family *term; /* n_term */
  double lambda;      /* penalty weight */
  solver_kind solver; /* SOLVER_NONE: no rows, hence no coefficients */
  double *theta;      /* term by term, kept between fits: the warm start of the next */
  double *gram;       /* band Cholesky: copies of lower band and right-hand side; else NULL */
  double *test_gram;  /* one more, of held-out rows; NULL without cross-validation */
  double loss;        /* sum of omega (s^2 / 2 + ds) over the cell's rows at the last evaluation */
  int cg_iterations, jittered, unconverged;
} score_cell;

/* Scratch of one task (a shard, or a node whose band is too large to have a copy a shard). */
typedef struct {
  basis_block block;
  double *product; /* 4^(q - 1) of the largest family */
  double *dphi;    /* 4^q, the derivatives of phi */
  double *phi;     /* 4^q of the largest family */
  double *pair;    /* sums of a node with one parent, see pairs.h */
  term_work terms; /* if there are term systems */
} task_work;

typedef struct cg_work cg_work;
typedef struct term_system term_system;

typedef struct {
  causal_graph graph;
  int d, n_cells;
  int data_range; /* lo and hi follow the pseudo-latents at every fit */
  score_settings set;
  bspline_table table;
  penalty penalty;
  score_cell *cell;       /* n_cells */
  double *range;          /* 2 x d: lo, hi */
  double *penalty_weight; /* d, of a log-density (penalty.h); else NULL */
  row_shards shards;
  int max_coord;   /* coordinates of the largest term */
  task_work *task; /* shards + d */
  double *factor;  /* Cholesky factor of the largest band */
  double *trial;   /* 2 K^q of the largest family; NULL without cross-validation */
  cg_work *cg;     /* NULL if no cell needs it */
  int n_system;
  term_system **system; /* n_system: cells of several terms, or all cells of a Markov score */
  double bytes;         /* of all this */
} score_model;

/* Coefficients of a cell: its terms have equally many. */
static inline size_t cell_coefficients(const score_cell *cell) {
  return (size_t)cell->n_term * cell->term[0].n_coef;
}

/* Where the coefficients of a term begin. */
static inline const double *term_theta(const score_cell *cell, int term) {
  return cell->theta + (size_t)term * cell->term[0].n_coef;
}

/* Copies of a cell's normal equations that sum up: one a shard if small, one in all if large. */
int cell_band_copies(const score_model *m, int cell);

/* Bands above this many doubles are accumulated by one task each, not by every shard. */
enum { SHARED_BAND = 65536 };

/* Checks that the pseudo-latents are finite and, with data_range, takes the ranges from them. */
int cells_update_range(score_model *m, const latent_sample *s);

/* Sums over held-out rows, by cell (fastest) and penalty weight. Where the equations could not be
 * solved, square is infinite. */
typedef struct {
  double *square; /* omega s^2 */
  double *slope;  /* omega (ds + s g), g the reference score or 0 */
} held_out_sums;

#endif
