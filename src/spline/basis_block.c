#include "basis_block.h"

#include "vectorize.h"

basis_block basis_block_new(int d, int curved, allocator alloc) {
  size_t cells = (size_t)d * BLOCK_ROWS;
  basis_block b = {workspace_doubles(cells * ORDER, alloc), workspace_doubles(cells * ORDER, alloc),
                   curved ? workspace_doubles(cells * ORDER, alloc) : NULL,
                   alloc(cells, sizeof(int))};
  return b;
}

WIDE_VECTORS size_t basis_block_fill(basis_block *b, const bspline_table *t, const double *range,
                                     const double *y, size_t n, int j, size_t start, int rows) {
  double lo = range[0], hi = range[1], scale = (t->knots - 1) / (hi - lo);
  const double *yj = y + (size_t)j * n + start;
  size_t outside = 0, at = (size_t)j * BLOCK_ROWS;
  for (size_t i = 0; i < (size_t)rows; i++) {
    double *value = b->value + (at + i) * ORDER, *slope = b->slope + (at + i) * ORDER;
    b->first[at + i] =
        b->curve ? bspline_curved_at(t, lo, scale, yj[i], value, slope, b->curve + (at + i) * ORDER)
                 : bspline_at(t, lo, scale, yj[i], value, slope);
    outside += yj[i] < lo || yj[i] > hi;
  }
  return outside;
}
