#include "shard.h"

row_shards shard_rows(size_t n) {
  size_t count = (n + SHARD_ROWS - 1) / SHARD_ROWS;
  row_shards s = {n, count > MAX_SHARDS ? MAX_SHARDS : (int)count};
  return s;
}

size_t shard_start(const row_shards *s, int shard) {
  size_t blocks = (s->n + BLOCK_ROWS - 1) / BLOCK_ROWS;
  size_t row = blocks * (size_t)shard / (size_t)s->n_shards * BLOCK_ROWS;
  return row < s->n ? row : s->n;
}
