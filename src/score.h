/* Score models: what Algorithm 1 needs to know of grad log f_a(y).
 *
 * A score class is a pair of functions, fit and evaluate, on a score_model: for each node and
 * target state a cell, that is a family of coordinates (the node and its parents; the node alone in
 * state 1 of a perfect intervention) with its own coefficients. The causal score (5.2) lives in
 * score_causal.c, the Markov score (5.1) in score_markov.c.
 */
#ifndef EBCRL_SCORE_H
#define EBCRL_SCORE_H

#include "bspline.h"
#include "family.h"
#include "pairs.h"
#include "penalty.h"
#include "rows.h"
#include "terms.h"
#include "workspace.h"

typedef enum { SOLVER_AUTO = 0, SOLVER_CHOLESKY = 1, SOLVER_CG = 2, SOLVER_NONE = 3 } solver_kind;

typedef enum { SCORE_CAUSAL = 0, SCORE_MARKOV = 1 } score_kind;

typedef struct {
  score_kind score;
  interaction_kind interaction;
  int knots;
  int perfect; /* interventions cut a node off its parents */
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
  int d, data_range; /* data_range: lo and hi follow the pseudo-latents at every fit */
  score_settings set;
  bspline_table table;
  penalty penalty;
  score_cell *cell; /* 2 d: node j in state c at [2 j + c] */
  double *range;    /* 2 x d: lo, hi */
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

/* Coordinates of a node's family in a target state, n_coord of them without an intervention. */
static inline int cell_coords(const score_settings *set, int n_coord, int state) {
  return set->perfect && state == 1 ? 1 : n_coord;
}

/* What a fit will take: families, rows, coefficients and solver of each cell, and bytes, but no
 * memory for coefficients and normal equations. coord: d pointers to n_coord[j] coordinates from 0,
 * the node and then its parents, ascending. range: 2 x d, or NULL for the data's. */
score_model *score_model_plan(const latent_sample *s, const int *const *coord, const int *n_coord,
                              const double *range, const score_settings *set, allocator alloc);

/* The same with all that a fit needs. */
score_model *score_model_new(const latent_sample *s, const int *const *coord, const int *n_coord,
                             const double *range, const score_settings *set, allocator alloc);

/* Coefficients of a cell: its terms have equally many. */
static inline size_t cell_coefficients(const score_cell *cell) {
  return (size_t)cell->n_term * cell->term[0].n_coef;
}

/* Where the coefficients of a term begin. */
static inline const double *term_theta(const score_cell *cell, int term) {
  return cell->theta + (size_t)term * cell->term[0].n_coef;
}

/* Normal equations of a family in LAPACK's lower band storage: entry (i, j), i >= j, of the m x m
 * matrix at band[(i - j) + j * ld]. Three slots above the diagonal take what is added there. */
enum { BAND_PADDING = ORDER - 1 };

typedef struct {
  int m, kd;    /* K^q coefficients; half-bandwidth 3 (K^(q - 1) + ... + 1) */
  size_t ld;    /* kd + 1 + BAND_PADDING */
  size_t total; /* of a copy: right-hand side, padding, band */
} band_shape;

band_shape band_shape_of(const family *f, int n_basis);

/* Copies of a cell's normal equations that sum up: one a shard if small, one in all if large. */
int band_copies(const score_model *m, int cell);

/* Checks that the pseudo-latents are finite and, with data_range, takes the ranges from them. */
int score_update_range(score_model *m, const latent_sample *s);

/* Sums over held-out rows, by cell (fastest) and penalty weight. Where the equations could not be
 * solved, square is infinite. */
typedef struct {
  double *square; /* omega s^2 */
  double *slope;  /* omega (ds + s g), g the reference score or 0 */
} held_out_sums;

/* Fits the term systems. */
int score_fit_systems(score_model *m, const latent_sample *s);

/* held_out() for the cells of term systems; sums of other cells with rows are left alone. */
int score_held_out_systems(score_model *m, const latent_sample *train, const latent_sample *test,
                           const double *lambda, int n_weights, held_out_sums *sums);

typedef struct {
  const char *name;
  int (*fit)(score_model *m, const latent_sample *s);
  /* The rows in t->block: score and dscore (own derivative) are d x BLOCK_ROWS, loss 2 d sums of
   * omega (s^2 / 2 + ds), added to. jacobian: NULL, or d x d x BLOCK_ROWS, the derivative of
   * component k in coordinate l at [(l * d + k) * BLOCK_ROWS + row]. All without the reference. */
  void (*evaluate)(const score_model *m, const latent_sample *s, task_work *t, size_t start,
                   int rows, double *score, double *dscore, double *jacobian, double *loss);
  /* Fits the cells to `train` under weights lambda (2 d x n_weights, ascending) and sums over
   * `test`. Both have the model's rows, in the ranges that the model has; only weights differ.
   * Fitted coefficients are left as they were. */
  int (*held_out)(score_model *m, const latent_sample *train, const latent_sample *test,
                  const double *lambda, int n_weights, held_out_sums *sums);
} score_class;

extern const score_class causal_score, markov_score;

static inline const score_class *score_class_of(score_kind kind) {
  return kind == SCORE_MARKOV ? &markov_score : &causal_score;
}

#endif
