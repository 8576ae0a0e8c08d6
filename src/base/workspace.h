/* Memory and row blocks shared by all kernels.
 *
 * Kernels do not allocate: set-up functions take an allocator (R_alloc in the glue), so that an
 * interrupt or an error in R releases everything. Rows are cut into shards whose number depends on
 * n alone, and sums over shards are added in shard order, so that results have the same bits for
 * every thread count. Within a shard rows go in blocks that fit in cache, four at a time where
 * columns of x are read, so that a page is read in one go.
 */
#ifndef EBCRL_WORKSPACE_H
#define EBCRL_WORKSPACE_H

#include <stddef.h>

enum { BLOCK_ROWS = 128, X_ROWS = 4 * BLOCK_ROWS, MAX_SHARDS = 16, SHARD_ROWS = 4096 };

enum status {
  STATUS_OK = 0,
  STATUS_NOT_FINITE,  /* a pseudo-latent or a coefficient overflowed */
  STATUS_EMPTY_RANGE, /* a coordinate is constant, so that it has no spline basis */
  STATUS_SINGULAR,    /* normal equations not positive definite, even with a jitter */
  STATUS_SVD,         /* LAPACK's singular value or eigenvalue decomposition did not converge */
  STATUS_DEPENDENT,   /* latents are linearly dependent: no unique mixing matrix */
  STATUS_DIVERGED,    /* the noise variance has grown far beyond the mean square of x */
  STATUS_SHRUNK,      /* a column of the mixing matrix has shrunk to 0 */
  STATUS_EXCEEDS      /* the latents explain many times the sum of squares of x */
};

typedef void *(*allocator)(size_t count, size_t size);

/* Doubles that start on a cache line, so that no vector of them lies across two. */
double *aligned_doubles(size_t count, allocator alloc);

typedef struct {
  size_t n;
  int n_shards;
} row_shards;

row_shards shard_rows(size_t n);

/* First row of a shard, and one past the last row of the last: a multiple of BLOCK_ROWS or n. */
size_t shard_start(const row_shards *s, int shard);

/* To be called when the library is loaded: from then on a forked process is known as one. */
void watch_forks(void);

/* How many of the threads asked for may be used: all of them, but one in a forked process, where
 * an OpenMP runtime that was in use before the fork waits forever for threads that did not follow.
 * Here alone the number of threads is decided. */
int usable_threads(int asked);

/* Number of the calling thread of a parallel region, from 0: whose scratch it uses. */
int thread_index(void);

#endif
