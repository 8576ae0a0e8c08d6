/* Tensor-product features of a family: node j and its parents (Appendix A.1).
 *
 * A family of q coordinates (j first, then the parents in ascending order) has K^q features in
 * lexicographic order, the first coordinate slowest. A row touches 4^q of them: q blocks of four
 * basis values and one base index. Local features come in runs of four neighbours (the last
 * coordinate), 4^(q - 1) runs a row, each at a fixed offset from the base.
 */
#ifndef EBCRL_FAMILY_H
#define EBCRL_FAMILY_H

#include "basis_block.h"

/* Coordinates of one tensor block, and of a family, which may be a sum of blocks (terms.h). */
enum { MAX_COORD = 12, MAX_FAMILY = 64 };

typedef struct {
  int n_coord;              /* q */
  const int *coord;         /* q: the node, then its parents */
  size_t stride[MAX_COORD]; /* q: step of each coordinate in the feature index */
  size_t n_coef;            /* K^q */
  size_t n_run;             /* 4^(q - 1) */
  const size_t *run_offset; /* n_run: first feature of a run, from the row's base */
} family;

family family_new(const int *coord, int n_coord, int n_basis, allocator alloc);

/* Index of the row's first feature. */
INLINE size_t family_base(const family *f, const basis_block *b, int row) {
  size_t base = 0;
  for (int k = 0; k < f->n_coord; k++)
    base += (size_t)b->first[(size_t)f->coord[k] * BLOCK_ROWS + (size_t)row] * f->stride[k];
  return base;
}

/* Where coordinate k's four values of a row start in b->value and b->slope. */
INLINE size_t family_basis_at(const family *f, int k, int row) {
  return ((size_t)f->coord[k] * BLOCK_ROWS + (size_t)row) * ORDER;
}

/* product (length values) becomes its outer product with v, in place: v runs fastest. */
INLINE void outer_product(double *product, size_t length, const double *v) {
  for (size_t r = length; r-- > 0;) { /* backwards: r writes to 4 r .. 4 r + 3 */
    double head = product[r];
    for (int t = 0; t < ORDER; t++)
      product[r * ORDER + (size_t)t] = head * v[t];
  }
}

/* Products of the basis values of all coordinates but the first and the last: 4^(q - 2) of them
 * (one, of value 1, if q < 3), with slopes in place of the values of coordinate `steep` (0: none).
 * Returns their number. */
INLINE size_t family_middle_product(const family *f, const basis_block *b, int row, int steep,
                                    double *product) {
  size_t length = 1;
  product[0] = 1;
  for (int k = 1; k < f->n_coord - 1; k++, length *= ORDER)
    outer_product(product, length, (k == steep ? b->slope : b->value) + family_basis_at(f, k, row));
  return length;
}

#endif
