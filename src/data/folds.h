/* Folds of rows. */
#ifndef EBCRL_FOLDS_H
#define EBCRL_FOLDS_H

#include <stddef.h>
#include <stdint.h>

/* fold[i], from 1: the rows of every domain, in random order, are dealt out in turn, so that folds
 * have equal shares of every domain, within one row. order: n, n_domains + 1: work arrays. */
void folds_deal(const int *env, size_t n, int n_domains, int n_folds, uint64_t seed, size_t *order,
                size_t *first, int *fold);

#endif
