/* Memory, status codes, and what else all kernels share: shards of rows, threads.
 *
 * Kernels do not allocate: set-up functions take an allocator (R_alloc in the glue), so that an
 * interrupt or an error in R releases everything.
 */
#ifndef EBCRL_WORKSPACE_H
#define EBCRL_WORKSPACE_H

#include "shard.h"
#include "threads.h"

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

/* The name of a status, by which R knows it: its code without STATUS_, in small letters. */
const char *workspace_status(int status);

typedef void *(*allocator)(size_t count, size_t size);

/* Doubles that start on a cache line, so that no vector of them lies across two. */
double *workspace_doubles(size_t count, allocator alloc);

#endif
