#include "folds.h"

#include "rng.h"

#include <string.h>

/* A whole number below `below`, the same for the same (seed, at). */
static size_t random_below(size_t below, uint64_t seed, size_t at) {
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const uint32_t counter[4] = {0, 0, (uint32_t)at, (uint32_t)((uint64_t)at >> 32)};
  uint32_t word[4];
  rng_philox4x32(counter, key, word);
  size_t draw = (size_t)(rng_unit(word[0], word[1]) * (double)below);
  return draw < below ? draw : below - 1;
}

void folds_deal(const int *env, size_t n, int n_domains, int n_folds, uint64_t seed, size_t *order,
                size_t *first, int *fold) {
  memset(first, 0, ((size_t)n_domains + 1) * sizeof(size_t));
  for (size_t i = 0; i < n; i++)
    first[env[i]]++;
  for (int e = 1; e <= n_domains; e++)
    first[e] += first[e - 1];
  for (size_t i = n; i-- > 0;) /* first[e] falls to where domain e, from 1, begins */
    order[--first[env[i]]] = i;
  size_t dealt = 0;
  for (int e = 1; e <= n_domains; e++) {
    size_t from = first[e], rows = (e < n_domains ? first[e + 1] : n) - from;
    for (size_t left = rows; left > 0; left--) { /* Fisher-Yates */
      size_t pick = from + random_below(left, seed, dealt), last = from + left - 1;
      size_t row = order[pick];
      order[pick] = order[last];
      fold[row] = (int)(dealt++ % (size_t)n_folds) + 1;
    }
  }
}
