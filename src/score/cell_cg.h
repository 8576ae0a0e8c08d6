/* Preconditioned conjugate gradients for one cell, without a Gram matrix: where it would be large.
 */
#ifndef EBCRL_CELL_CG_H
#define EBCRL_CELL_CG_H

#include "cells.h"

/* Operator of a cell's normal equations: rows compact, one basis quadruple a coordinate. */
struct cg_work {
  size_t max_rows, max_coef;
  int max_coord;
  int *row;        /* max_rows: rows of the cell */
  int *base;       /* max_rows: index of the row's first feature */
  double *weight;  /* max_rows: omega */
  double *basis;   /* max_rows x q x 4 */
  double *product; /* MAX_SHARDS x 4^(q - 1) */
  double *sum;     /* MAX_SHARDS x max_coef: per-shard results */
  double *rhs, *diagonal, *residual, *direction, *scaled; /* max_coef each */
};

cg_work *cell_cg_new(size_t max_rows, size_t max_coef, int max_coord, allocator alloc);
double cell_cg_bytes(double max_rows, double max_coef, int max_coord);

/* Fits a cell's coefficients by conjugate gradients, warm-started at its theta. */
int cell_cg_fit(score_model *m, const latent_sample *s, int c);

/* held_out() for a cell that is solved by conjugate gradients, from the largest weight
 * down, each warm-started at the last, to a rough solution. */
void cell_cg_held_out(score_model *m, const latent_sample *train, const latent_sample *test,
                      int cell, const double *lambda, int n_weights, held_out_sums *sums);

#endif
