/* What the first pass over the rows finds of each feature. */
#ifndef EBCRL_SCAN_H
#define EBCRL_SCAN_H

#include <stddef.h>

typedef struct {
  double lo, hi, mean;
  double spread; /* sum of squares about the mean */
  double square; /* about 0 */
} feature_scan;

/* Row of the first entry of a column that is not finite, or n. *out is complete only if it is n. */
size_t scan_column(const double *x, size_t n, feature_scan *out);

/* The same of the entries of a sparse column: n_stored of n, the others being 0. Returns the place
 * of the first stored entry that is not finite, or n_stored. */
size_t scan_sparse_column(const double *x, size_t n_stored, size_t n, feature_scan *out);

/* The same of all p columns where the entries go by row: index[n_stored], the column of each; stored (p)
 * counts them. */
size_t scan_sparse_rows(const double *x, const int *index, size_t n_stored, size_t n, size_t p,
                        feature_scan *out, double *stored);

/* The same of the entries that are not NaN, *seen of them. Returns the row of the first infinite entry,
 * or n. */
size_t scan_incomplete_column(const double *x, size_t n, feature_scan *out, double *seen);

#endif
