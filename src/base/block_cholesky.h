/* Cholesky factorisation of a symmetric matrix whose blocks are dense or zero.
 *
 * Blocks are eliminated in the order of least degree, and a column of blocks with its fill is one
 * dense panel, column by column, the diagonal block on top: LAPACK factors it, BLAS does the rest.
 */
#ifndef EBCRL_BLOCK_CHOLESKY_H
#define EBCRL_BLOCK_CHOLESKY_H

#include "workspace.h"

typedef struct {
  int n;               /* blocks of rows and columns */
  const size_t *start; /* n + 1: first row of a block in vectors */
  int *column;         /* n: block eliminated as the k-th */
  int *position;       /* n: its inverse */
  size_t *panel;       /* n + 1, by position: where the panel starts in value */
  size_t *rows;        /* n, by position: rows of the panel */
  size_t *offset; /* n x n: row of block i in the panel of position k at [i + k n], or ABSENT */
  double *value, *work;
  size_t size;         /* doubles in value */
  double bytes, flops; /* of value, of the factorisation; no integer might hold them */
} block_matrix;

/* The pattern of the factor: linked, n x n, non-zero where the matrix has a block. */
block_matrix block_cholesky_plan(int n, const size_t *start, const unsigned char *linked,
                                 allocator alloc);

void block_cholesky_allocate(block_matrix *m, allocator alloc);

/* Is block a below block b, so that (a, b) is the block that is stored? */
int block_cholesky_below(const block_matrix *m, int a, int b);

/* Block (a, b), a below or equal to b; entry (i, j) at [i + j * ld]. */
double *block_cholesky_at(const block_matrix *m, int a, int b, size_t *ld);

/* Replaces the lower triangle by its Cholesky factor; STATUS_SINGULAR if it is not positive. */
int block_cholesky_factor(block_matrix *m);

/* Solves for a right-hand side, in place. */
void block_cholesky_solve(const block_matrix *m, double *v);

#endif
