/* Basis functions of the coordinates of a block of rows. */
#ifndef EBCRL_BASIS_BLOCK_H
#define EBCRL_BASIS_BLOCK_H

#include "bspline.h"
#include "workspace.h"

/* The basis of a block of rows: for each coordinate (slowest) and row, four values. */
typedef struct {
  double *value; /* d x BLOCK_ROWS x 4 */
  double *slope; /* d x BLOCK_ROWS x 4 */
  double *curve; /* d x BLOCK_ROWS x 4, or NULL: second derivatives, of a log-density */
  int *first;    /* d x BLOCK_ROWS */
} basis_block;

basis_block basis_block_new(int d, int curved, allocator alloc);

/* Basis of coordinate j of y (n x d) for rows [start, start + rows); range is lo, hi. Outside it
 * functions continue quadratically if the block has room for second derivatives, else linearly.
 * Returns how many values lie outside the range. */
size_t basis_block_fill(basis_block *b, const bspline_table *t, const double *range,
                        const double *y, size_t n, int j, size_t start, int rows);

#endif
