#include "family.h"

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
