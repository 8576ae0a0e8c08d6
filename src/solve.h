/* The normal equations of one cell: band Cholesky where the Gram matrix is small, preconditioned
 * conjugate gradients without a Gram matrix where it is not.
 *
 * The tensor Gram matrix is banded: features of one row differ by at most
 * kd = 3 (K^(q-1) + ... + 1) in the lexicographic index. LAPACK's band storage (kd + 1) x m holds
 * it.
 */
#ifndef EBCRL_SOLVE_H
#define EBCRL_SOLVE_H

#include "family.h"
#include "score.h"

/* Half-bandwidth kd for n_coord coordinates of n_basis functions. */
double family_bandwidth(int n_coord, int n_basis);

/* Solves band * x = rhs; rhs becomes x. factor, ld x m, receives the Cholesky factor. If the
 * factorisation fails, a jitter of 1e-10 times the mean diagonal is added, growing a hundredfold up
 * to three times, and *jittered is set. */
int band_solve(const double *band, band_shape shape, double *factor, double *rhs, int *jittered);

/* theta'G theta for a lower band matrix; work: m. */
double band_quadratic(const double *band, band_shape shape, const double *theta, double *work);

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

cg_work *cg_work_new(size_t max_rows, size_t max_coef, int max_coord, allocator alloc);
double cg_work_bytes(double max_rows, double max_coef, int max_coord);

/* Fits node's coefficients in one state by conjugate gradients, warm-started at cell->theta. */
int cg_fit_cell(score_model *m, const latent_sample *s, int node, int state);

/* score_class.held_out for a cell that is solved by conjugate gradients, from the largest weight
 * down, each warm-started at the last, to a rough solution. */
void cg_held_out(score_model *m, const latent_sample *train, const latent_sample *test, int cell,
                 const double *lambda, int n_weights, held_out_sums *sums);

#endif
