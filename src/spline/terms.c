#include "terms.h"

#include "vectorize.h"

#include <math.h>
#include <string.h>

int term_size(interaction_kind kind, int n_coord) {
  int most = kind == INTERACTION_TENSOR ? n_coord : (kind == INTERACTION_PAIRWISE ? 3 : 2);
  return n_coord < most ? n_coord : most;
}

int term_count(interaction_kind kind, int n_coord) {
  int parents = n_coord - 1, size = term_size(kind, n_coord);
  if (size == n_coord)
    return 1;
  return size == 2 ? parents : parents * (parents - 1) / 2;
}

family *terms_new(interaction_kind kind, const int *coord, int n_coord, int n_basis,
                  allocator alloc) {
  int count = term_count(kind, n_coord), size = term_size(kind, n_coord);
  family *term = alloc((size_t)count, sizeof(family));
  if (count == 1) {
    term[0] = family_new(coord, n_coord, n_basis, alloc);
    return term;
  }
  int *coords = alloc((size_t)count * (size_t)size, sizeof(int)), t = 0;
  for (int k = 1; k < n_coord; k++)
    for (int l = size == 2 ? k : k + 1; l < (size == 2 ? k + 1 : n_coord); l++, t++) {
      int *own = coords + t * size;
      own[0] = coord[0];
      own[1] = coord[k];
      own[size - 1] = coord[l];
      term[t] = family_new(own, size, n_basis, alloc);
    }
  return term;
}

size_t term_jet_size(int max_coord) {
  size_t size = 2;
  for (int k = 0; k < max_coord; k++)
    size *= ORDER;
  return size;
}

/* out_i = sum_a w_a in_{a, i}, the leading coordinate contracted; out may be in. */
INLINE void contract(double *out, const double *in, size_t length, const double *w) {
  for (size_t i = 0; i < length; i++)
    out[i] = w[0] * in[i] + w[1] * in[length + i] + w[2] * in[2 * length + i] +
             w[3] * in[3 * length + i];
}

/* The same for the first coordinate of coefficients that lie in runs. */
INLINE void contract_runs(double *out, const family *f, const double *theta, const double *w) {
  size_t runs = f->n_run / ORDER;
  if (f->n_coord == 1) {
    contract(out, theta, 1, w);
    return;
  }
  for (size_t r = 0; r < runs; r++) {
    double sum[ORDER] = {0};
    for (size_t a = 0; a < ORDER; a++) {
      const double *from = theta + f->run_offset[a * runs + r];
      SIMD for (int t = 0; t < ORDER; t++) sum[t] += w[a] * from[t];
    }
    for (int t = 0; t < ORDER; t++)
      out[r * ORDER + (size_t)t] = sum[t];
  }
}

/* Coordinates are contracted in turn, the first one first, and each partial result is kept by the
 * coordinates it was differentiated in so far: what is left of it has 4^(coordinates to come)
 * entries. */
INLINE void fill_jet(const family *f, int q, const basis_block *b, int row, const double *theta,
                     jet_order order, double *work, jet *out) {
  double *plain = work, *first[MAX_COORD], *second[MAX_COORD][MAX_COORD];
  size_t length = 1;
  for (int k = 1; k < q; k++)
    length *= ORDER;
  double *room = work + length;
  for (int p = 0; p < q; p++, length /= ORDER) {
    size_t at = family_basis_at(f, p, row);
    const double *value = b->value + at, *slope = b->slope + at;
    int least = order == JET_HESSIAN ? 0 : p;
    for (int k = 0; order >= JET_LAPLACIAN && k < p; k++)
      for (int l = order == JET_HESSIAN ? 0 : k; l <= k; l++)
        contract(second[k][l], second[k][l], length, value);
    for (int l = least; order >= JET_LAPLACIAN && l <= p; l++, room += length) {
      second[p][l] = room;
      if (l < p)
        contract(room, first[l], length, slope);
      else if (p == 0)
        contract_runs(room, f, theta, b->curve + at);
      else
        contract(room, plain, length, b->curve + at);
    }
    for (int k = 0; order >= JET_GRADIENT && k < p; k++)
      contract(first[k], first[k], length, value);
    if (order >= JET_GRADIENT) {
      first[p] = room;
      room += length;
      if (p == 0)
        contract_runs(first[p], f, theta, slope);
      else
        contract(first[p], plain, length, slope);
    }
    if (p == 0)
      contract_runs(plain, f, theta, value);
    else
      contract(plain, plain, length, value);
  }
  out->value = *plain;
  for (int k = 0; order >= JET_GRADIENT && k < q; k++)
    out->gradient[k] = *first[k];
  for (int k = 0; order >= JET_LAPLACIAN && k < q; k++)
    for (int l = order == JET_HESSIAN ? 0 : k; l <= k; l++)
      out->second[k][l] = *second[k][l];
}

WIDE_VECTORS void term_jet(const family *f, const basis_block *b, int row, const double *theta,
                           jet_order order, double *work, jet *out) {
  theta += family_base(f, b, row);
  if (f->n_coord == 2 && order == JET_LAPLACIAN) /* the commonest: loops are unrolled */
    fill_jet(f, 2, b, row, theta, JET_LAPLACIAN, work, out);
  else if (f->n_coord == 2 && order == JET_GRADIENT)
    fill_jet(f, 2, b, row, theta, JET_GRADIENT, work, out);
  else
    fill_jet(f, f->n_coord, b, row, theta, order, work, out);
}

WIDE_VECTORS void term_add(const family *f, const basis_block *b, int row, double value,
                           const double *slope, double *work, double *to) {
  double *plain = work, *sloped = work + f->n_run * ORDER;
  size_t length = 1;
  plain[0] = 1;
  sloped[0] = 0;
  for (int k = 0; k < f->n_coord; k++, length *= ORDER) {
    const double *v = b->value + family_basis_at(f, k, row);
    const double *s = b->slope + family_basis_at(f, k, row);
    double weight = slope ? slope[k] : 0;
    for (size_t r = length; r-- > 0;) { /* backwards: r writes to 4 r .. 4 r + 3 */
      double head = plain[r], tail = sloped[r];
      for (int t = 0; t < ORDER; t++) {
        plain[r * ORDER + (size_t)t] = head * v[t];
        sloped[r * ORDER + (size_t)t] = tail * v[t] + head * weight * s[t];
      }
    }
  }
  to += family_base(f, b, row);
  for (size_t r = 0; r < f->n_run; r++) {
    double *out = to + f->run_offset[r];
    SIMD for (size_t t = 0; t < ORDER; t++) out[t] +=
        value * plain[r * ORDER + t] + sloped[r * ORDER + t];
  }
}

term_work term_work_new(int d, int max_coord, allocator alloc) {
  size_t local = term_jet_size(max_coord) / 2, outputs = (size_t)max_coord;
  size_t rows = 2 * (size_t)d * BLOCK_ROWS;
  term_work w = {.features = {workspace_doubles(outputs * local, alloc),
                              workspace_doubles(outputs * local, alloc)},
                 .run = workspace_doubles(local, alloc),
                 .jet = workspace_doubles(2 * local, alloc),
                 .rows = workspace_doubles(rows, alloc),
                 .loss = alloc(2 * (size_t)d, sizeof(double)),
                 .row = alloc(BLOCK_ROWS, sizeof(int))};
  return w;
}

double term_work_bytes(int d, int max_coord) {
  double local = pow(ORDER, max_coord);
  return ((2.0 * max_coord + 3) * local + 2.0 * d * (BLOCK_ROWS + 1)) * sizeof(double) +
         BLOCK_ROWS * sizeof(int);
}
