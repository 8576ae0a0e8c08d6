/* Normal equations of score matching over the terms of one cell or of several.
 *
 * A row gives each output o of the score a design vector g_o over the coefficients, and
 *   (sum_i omega_i sum_o g_o g_o' + P) theta = - sum_i omega_i div g
 * minimises the loss sum omega (|s|^2 / 2 + div s) with its penalty:
 *   DESIGN_VALUE     one output s_j = phi'theta, g = phi, div g = d_j phi: a cell of the causal
 *                    score (5.2), j the node
 *   DESIGN_GRADIENT  an output a coordinate, s_k = d_k U, g_k = d_k phi, div g = sum_k d_k^2 phi,
 *                    where U sums phi'theta over all cells: the Markov score (5.1)
 * Terms overlap, and constants of U have no gradient: the matrix is singular, the solution not
 * unique, though the score is.
 *
 * The equations are solved by conjugate gradients (term_cg.h) from one of two preconditioners,
 * whichever is cheaper. Terms that are in no row together, or share no output, have no block in
 * common: the whole matrix is assembled and factored by blocks (block_cholesky.h). What is factored
 * has a small ridge in addition, whose effect a few iterations take away. Or each term is factored
 * by itself.
 */
#ifndef EBCRL_TERM_DESIGN_H
#define EBCRL_TERM_DESIGN_H

#include "block_cholesky.h"
#include "cells.h"

typedef enum { DESIGN_VALUE, DESIGN_GRADIENT } design_kind;

typedef struct {
  const family *f;
  int cell;
} system_term;

typedef struct term_cg term_cg;

/* Blocks of the matrix: all that belong to pairs of terms, or those of each term alone. */
typedef struct {
  int n_pair, *pair; /* n_pair x 2: terms with a block in common */
  block_matrix matrix;
  double ridge;       /* added to what is factored */
  double **stiffness; /* n_term x max_coord, of terms that term_cg.h takes as uniform, else NULL:
                       * K x K sums omega b'b'' (slopes) of a coordinate, lower triangle */
} term_blocks;

struct term_system {
  design_kind design;
  int n_term, max_coord;
  system_term *term;
  size_t *start;       /* n_term + 1: first coefficient of a term */
  int *first_term;     /* n_cells: first term of a cell, its others follow; -1: not in the system */
  double *theta, *rhs; /* start[n_term]; theta is kept between fits */
  double *trace;       /* n_term x max_coord: of the diagonal blocks, by output */
  double ridge;        /* added to the equations */
  double scale;        /* norm of rhs, or of rhs without the known score if that is larger */
  double *sum;         /* shards x start[n_term]: results of a shard */
  double *product;     /* start[n_term]; also the known score's part of rhs */
  double *kept;        /* start[n_term]; NULL without cross-validation */
  solver_kind solver;  /* SOLVER_CHOLESKY or SOLVER_CG */
  term_blocks blocks;
  term_cg *cg;
  double bytes; /* what term_system_allocate allocates */
  int iterations, unconverged;
};

/* The terms of n_cell cells that have rows: all but solver, matrix and memory of their system. */
term_system *term_design_new(const score_model *m, design_kind design, const int *cell, int n_cell,
                             allocator alloc);

/* Pairs of terms with a block in common, the pattern they make (linked: n_term x n_term), and the
 * multiplications of their sums. */
double term_design_links(const latent_sample *s, term_system *t, unsigned char *linked,
                         allocator alloc);

/* Right-hand side, traces, stiffness and ridges. */
void term_design_sums(score_model *m, const latent_sample *s, term_system *t);

/* The Gram matrix, by blocks; without penalty. */
void term_design_assemble(score_model *m, const latent_sample *s, term_system *t);

/* Penalty and ridge of a term, to a diagonal block. A dense block of ld rows is a band of ld + 1.
 */
void term_design_penalty(const score_model *m, const term_system *t, int a, double ridge,
                         double *block, size_t ld);

/* out = (Gram matrix + P) v, in a pass over the rows. */
void term_design_times(const score_model *m, const latent_sample *s, const term_system *t,
                       const double *v, double *out);

/* The block of a term with itself, ridge added, as a lower band of columns ld apart, BAND_PADDING
 * of which are room for what the sums leave above the diagonal. */
void term_design_own_band(const score_model *m, const latent_sample *s, const term_system *t, int a,
                          double ridge, double *band, size_t ld, task_work *task);

#endif
