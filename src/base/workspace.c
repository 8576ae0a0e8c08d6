#include "workspace.h"

#include <stdint.h>

#ifdef _OPENMP
#include <omp.h>
#ifndef _WIN32
#include <pthread.h>
#endif
#endif

enum { CACHE_LINE = 64 };

double *aligned_doubles(size_t count, allocator alloc) {
  char *start = alloc(count * sizeof(double) + CACHE_LINE, 1);
  return (double *)(start + (CACHE_LINE - (uintptr_t)start % CACHE_LINE) % CACHE_LINE);
}

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

#if defined(_OPENMP) && !defined(_WIN32)
static int is_fork = 0; /* never 0 again: what a forked process forks is one as well */

static void note_fork(void) {
  is_fork = 1;
}

void watch_forks(void) {
  pthread_atfork(NULL, NULL, note_fork);
}

int usable_threads(int asked) {
  return is_fork ? 1 : asked;
}
#else
void watch_forks(void) {}

int usable_threads(int asked) {
  return asked;
}
#endif

int thread_index(void) {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}
