/* Row blocks shared by all kernels.
 *
 * Rows are cut into shards whose number depends on n alone, and sums over shards are added in shard
 * order, so that results have the same bits for every thread count. Within a shard rows go in
 * blocks that fit in cache, four at a time where columns of x are read, so that a page is read in
 * one go.
 */
#ifndef EBCRL_SHARD_H
#define EBCRL_SHARD_H

#include <stddef.h>

enum { BLOCK_ROWS = 128, X_ROWS = 4 * BLOCK_ROWS, MAX_SHARDS = 16, SHARD_ROWS = 4096 };

typedef struct {
  size_t n;
  int n_shards;
} row_shards;

row_shards shard_rows(size_t n);

/* First row of a shard, and one past the last row of the last: a multiple of BLOCK_ROWS or n. */
size_t shard_start(const row_shards *s, int shard);

#endif
