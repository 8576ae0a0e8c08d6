#include "kronecker.h"

#include "vectorize.h"

#include <R_ext/Lapack.h>
#include <string.h>

spectrum kronecker_spectrum_new(int n_basis, allocator alloc) {
  size_t k = (size_t)n_basis;
  spectrum s = {alloc(k * k, sizeof(double)), alloc(k, sizeof(double))};
  return s;
}

int kronecker_spectrum_of(spectrum *s, int n_basis, double *work) {
  int lwork = 3 * n_basis, info;
  F77_CALL(dsyev)
  ("V", "L", &n_basis, s->vectors, &n_basis, s->values, work, &lwork, &info FCONE FCONE);
  return info == 0 ? STATUS_OK : STATUS_SVD;
}

/* out = v with coordinate k multiplied by the eigenvectors or their transpose. */
WIDE_VECTORS static void rotate_coordinate(const spectrum *b, int n_basis, const family *f, int k,
                                           int transpose, const double *restrict v,
                                           double *restrict out) {
  size_t n = (size_t)n_basis, step = f->stride[k], outer = step * n;
  memset(out, 0, f->n_coef * sizeof(double));
  for (size_t start = 0; start < f->n_coef; start += outer)
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) {
        double c = transpose ? b->vectors[j + i * n] : b->vectors[i + j * n];
        const double *from = v + start + j * step;
        double *to = out + start + i * step;
        SIMD for (size_t inner = 0; inner < step; inner++) to[inner] += c * from[inner];
      }
}

void kronecker_inverse(const spectrum *b, int n_basis, double scale, const family *f, double shift,
                       const double *v, double *out, double *work) {
  size_t bytes = f->n_coef * sizeof(double);
  memcpy(out, v, bytes);
  for (int k = 0; k < f->n_coord; k++) {
    rotate_coordinate(&b[k], n_basis, f, k, 1, out, work);
    memcpy(out, work, bytes);
  }
  for (size_t g = 0; g < f->n_coef; g++) {
    double value = 0;
    for (int k = 0; k < f->n_coord; k++)
      value += b[k].values[g / f->stride[k] % (size_t)n_basis];
    out[g] /= scale * value + shift;
  }
  for (int k = 0; k < f->n_coord; k++) {
    rotate_coordinate(&b[k], n_basis, f, k, 0, out, work);
    memcpy(out, work, bytes);
  }
}
