#include "batch_means.h"

#include <math.h>
#include <string.h>

static const double MAX_CORRELATION = 0.8;
static const double ROUNDING = 1e-13; /* relative: what is held differs by so little */

batch_means batch_means_new(size_t length, allocator alloc) {
  size_t total = length * MAX_BATCHES;
  batch_means b = {.length = length,
                   .size = 1,
                   .sum = alloc(total, sizeof(double)),
                   .square = alloc(total, sizeof(double))};
  memset(b.sum, 0, total * sizeof(double));
  memset(b.square, 0, total * sizeof(double));
  return b;
}

double batch_means_bytes(double length) {
  return 2 * MAX_BATCHES * length * sizeof(double);
}

int batch_means_complete(const batch_means *b) {
  return b->count / b->size;
}

/* Two batches become one. */
static void merge(double *v, size_t length) {
  for (int k = 0; k < MAX_BATCHES / 2; k++)
    for (size_t g = 0; g < length; g++)
      v[(size_t)k * length + g] =
          v[(size_t)(2 * k) * length + g] + v[(size_t)(2 * k + 1) * length + g];
  size_t half = length * MAX_BATCHES / 2;
  memset(v + half, 0, half * sizeof(double));
}

void batch_means_add(batch_means *b, const double *v) {
  if (batch_means_complete(b) == MAX_BATCHES) {
    merge(b->sum, b->length);
    merge(b->square, b->length);
    b->size *= 2;
  }
  size_t at = (size_t)batch_means_complete(b) * b->length;
  for (size_t g = 0; g < b->length; g++) {
    b->sum[at + g] += v[g];
    b->square[at + g] += v[g] * v[g];
  }
  b->count++;
}

static double batch_at(const batch_means *b, size_t g, int k) {
  return b->sum[(size_t)k * b->length + g] / b->size;
}

/* Mean of `many` batches of entry g from batch `first` on, and the sum of squares about it. */
static double mean_of_run(const batch_means *b, size_t g, int first, int many, double *squares) {
  double mean = 0;
  for (int k = first; k < first + many; k++)
    mean += batch_at(b, g, k);
  mean /= many;
  for (int k = first; k < first + many; k++) {
    double gap = batch_at(b, g, k) - mean;
    *squares += fabs(gap) > ROUNDING * fabs(mean) ? gap * gap : 0;
  }
  return mean;
}

/* (1 + r) / (1 - r), r the correlation of successive batches, freed from its bias of about -1 over
 * their number. */
static double inflation(const batch_means *b, size_t from, size_t to) {
  int many = batch_means_complete(b);
  double products = 0, squares = 0;
  for (size_t g = from; g < to; g++) {
    double mean = mean_of_run(b, g, 0, many, &squares);
    for (int k = 1; k < many; k++)
      products += (batch_at(b, g, k) - mean) * (batch_at(b, g, k - 1) - mean);
  }
  double r = squares > 0 ? products / squares + 1.0 / many : 0;
  r = fmax(0, fmin(r, MAX_CORRELATION));
  return (1 + r) / (1 - r);
}

void batch_means_errors(const batch_means *b, size_t from, size_t to, double *squared) {
  int many = batch_means_complete(b);
  double factor = many < 2 ? 0 : inflation(b, from, to) / (many * (many - 1.0));
  for (size_t g = from; g < to; g++) {
    double squares = 0;
    mean_of_run(b, g, 0, many, &squares);
    squared[g - from] = many < 2 ? INFINITY : squares * factor;
  }
}

double batch_means_spread(const batch_means *b, size_t g, int many) {
  int end = batch_means_complete(b);
  double n = (double)many * b->size, sum = 0, square = 0;
  for (int k = end - many; k < end; k++) {
    sum += b->sum[(size_t)k * b->length + g];
    square += b->square[(size_t)k * b->length + g];
  }
  double variance = square / n - sum / n * (sum / n);
  return many > 0 && variance > ROUNDING * square / n ? variance : 0;
}

void batch_means_shift(const batch_means *b, size_t g, int many, double *squared, double *error) {
  int end = batch_means_complete(b);
  double squares = 0;
  double before = mean_of_run(b, g, end - 2 * many, many, &squares);
  double shift = mean_of_run(b, g, end - many, many, &squares) - before;
  *squared = fabs(shift) > ROUNDING * fabs(before) ? shift * shift : 0;
  /* a batch has variance squares / (2 (many - 1)), the difference 2 / many times that */
  *error = squares / (many * (many - 1.0));
}
