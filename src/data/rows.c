#include "rows.h"

double rows_square_sum(const double *x, int p, const latent_sample *s, int threads) {
  double total = 0, by_shard[MAX_SHARDS] = {0};
  row_shards shards = shard_rows(s->n);
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
  for (int k = 0; k < shards.n_shards; k++)
    for (size_t start = shard_start(&shards, k); start < shard_start(&shards, k + 1);
         start += BLOCK_ROWS) {
      size_t end = start + BLOCK_ROWS < s->n ? start + BLOCK_ROWS : s->n;
      double square[BLOCK_ROWS] = {0};
      for (int col = 0; col < p; col++)
        for (size_t i = start; i < end; i++)
          square[i - start] += x[(size_t)col * s->n + i] * x[(size_t)col * s->n + i];
      for (size_t i = start; i < end; i++)
        by_shard[k] += row_weight(s, i) * square[i - start];
    }
  for (int k = 0; k < shards.n_shards; k++)
    total += by_shard[k];
  return total;
}
