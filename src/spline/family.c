#include "family.h"

#include "vectorize.h"

family family_new(const int *coord, int n_coord, int n_basis, allocator alloc) {
  family f = {.n_coord = n_coord, .coord = coord, .n_coef = 1, .n_run = 1};
  for (int k = n_coord - 1; k >= 0; k--) {
    f.stride[k] = f.n_coef;
    f.n_coef *= (size_t)n_basis;
    if (k > 0)
      f.n_run *= ORDER;
  }
  size_t *offset = alloc(f.n_run, sizeof(size_t));
  for (size_t r = 0; r < f.n_run; r++) {
    offset[r] = 0;
    size_t digits = r;
    for (int k = n_coord - 2; k >= 0; k--, digits /= ORDER)
      offset[r] += digits % ORDER * f.stride[k];
  }
  f.run_offset = offset;
  return f;
}

basis_block basis_block_new(int d, int curved, allocator alloc) {
  size_t cells = (size_t)d * BLOCK_ROWS;
  basis_block b = {aligned_doubles(cells * ORDER, alloc), aligned_doubles(cells * ORDER, alloc),
                   curved ? aligned_doubles(cells * ORDER, alloc) : NULL,
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
