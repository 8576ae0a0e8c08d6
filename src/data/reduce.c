#include "reduce.h"

#include "linalg.h"

#include <string.h>

size_t reduce_scratch(const weighted_rows *r, int n_domains) {
  return (size_t)shard_rows(r->n).n_shards * (size_t)n_domains;
}

/* Squares of the rows from `start` on, to the sums of their domains. */
static void add_squares(const weighted_rows *r, size_t start, int rows, double *square) {
  double own[X_ROWS] = {0};
  for (int j = 0; j < r->p; j++) {
    const double *x = r->x + (size_t)j * r->n + start;
    for (int i = 0; i < rows; i++)
      own[i] += x[i] * x[i];
  }
  for (int i = 0; i < rows; i++)
    square[r->env[start + (size_t)i] - 1] += own[i];
}

static void reduce_shard(const weighted_rows *r, size_t start, size_t end, const double *v, int k,
                         const double *offset, double *out, double *square) {
  for (; start < end; start += X_ROWS) {
    int rows = end - start < X_ROWS ? (int)(end - start) : X_ROWS;
    linalg_rows_times(r->x, r->n, r->p, start, rows, v, k, out + start, r->n);
    for (int c = 0; c < k; c++)
      for (int i = 0; i < rows; i++)
        out[(size_t)c * r->n + start + (size_t)i] -= offset[c];
    add_squares(r, start, rows, square);
  }
}

void reduce_rows(const weighted_rows *r, int n_domains, const double *v, int k,
                 const double *offset, double *out, double *square, double *scratch) {
  row_shards shards = shard_rows(r->n);
  size_t m = (size_t)n_domains;
  memset(scratch, 0, (size_t)shards.n_shards * m * sizeof(double));
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(r->threads)
#endif
  for (int shard = 0; shard < shards.n_shards; shard++)
    reduce_shard(r, shard_start(&shards, shard), shard_start(&shards, shard + 1), v, k, offset, out,
                 scratch + (size_t)shard * m);
  for (size_t e = 0; e < m; e++) {
    square[e] = 0;
    for (int shard = 0; shard < shards.n_shards; shard++)
      square[e] += scratch[(size_t)shard * m + e];
  }
}
