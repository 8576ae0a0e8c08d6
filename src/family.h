/* Tensor-product features of a family: node j and its parents (Appendix A.1).
 *
 * A family of q coordinates (j first, then the parents in ascending order) has K^q features in
 * lexicographic order, the first coordinate slowest. A row touches 4^q of them: q blocks of four
 * basis values and one base index. Local features come in runs of four neighbours (the last
 * coordinate), 4^(q - 1) runs a row, each at a fixed offset from the base.
 */
#ifndef EBCRL_FAMILY_H
#define EBCRL_FAMILY_H

#include "bspline.h"
#include "workspace.h"

enum { MAX_COORD = 12 };

typedef struct {
  int n_coord;              /* q */
  const int *coord;         /* q: the node, then its parents */
  size_t stride[MAX_COORD]; /* q: step of each coordinate in the feature index */
  size_t n_coef;            /* K^q */
  size_t n_run;             /* 4^(q - 1) */
  const size_t *run_offset; /* n_run: first feature of a run, from the row's base */
} family;

/* The basis of a block of rows: for each coordinate (slowest) and row, four values. */
typedef struct {
  double *value; /* d x BLOCK_ROWS x 4 */
  double *slope; /* d x BLOCK_ROWS x 4 */
  int *first;    /* d x BLOCK_ROWS */
} basis_block;

family family_new(const int *coord, int n_coord, int n_basis, allocator alloc);

basis_block basis_block_new(int d, allocator alloc);

/* Basis of rows [start, start + rows) of y (n x d); range is 2 x d (lo, hi). Returns how many
 * values lie outside their range. */
size_t basis_block_fill(basis_block *b, const bspline_table *t, const double *range,
                        const double *y, size_t n, int d, size_t start, int rows);

/* Index of the row's first feature. */
size_t family_base(const family *f, const basis_block *b, int row);

/* Products of the basis values of the coordinates after the first (n_run values; 1 if q = 1). */
void family_parent_product(const family *f, const basis_block *b, int row, double *product);

#endif
