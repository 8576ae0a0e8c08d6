/* Means of a sequence of vectors, whole and by batches of successive ones: what Monte-Carlo
 * standard errors and R-hat are made of. Batches are of one size, which doubles when there is no
 * room for another, so that MAX_BATCHES / 2 to MAX_BATCHES of them are complete in the long run. */
#ifndef EBCRL_BATCH_MEANS_H
#define EBCRL_BATCH_MEANS_H

#include "workspace.h"

enum { MAX_BATCHES = 16 };

typedef struct {
  size_t length;
  int size;       /* vectors in a batch */
  int count;      /* vectors so far */
  double *sum;    /* length x MAX_BATCHES */
  double *square; /* the same, of squares */
} batch_means;

batch_means batch_means_new(size_t length, allocator alloc);

double batch_means_bytes(double length);

void batch_means_add(batch_means *b, const double *v);

/* Number of complete batches. */
int batch_means_complete(const batch_means *b);

/* squared[g - from] = squared standard error of the mean of entry g = from, ..., to - 1 over the
 * complete batches; infinite for fewer than 2. Batches count as a first-order autoregression, whose
 * correlation is one for all these entries. */
void batch_means_errors(const batch_means *b, size_t from, size_t to, double *squared);

/* Variance of entry g over the vectors of the last `many` complete batches. */
double batch_means_spread(const batch_means *b, size_t g, int many);

/* Difference of the means of entry g over the last two runs of `many` batches, squared, and the
 * squared standard error of the difference, from batches within runs. */
void batch_means_shift(const batch_means *b, size_t g, int many, double *squared, double *error);

#endif
