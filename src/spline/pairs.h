/* Normal equations of a node with one parent, the commonest family, by pairs of basis functions.
 *
 * Rows whose two coordinates fall in the same pair of intervals share their 16 features, and their
 * Gram matrix is (b b') x (c c'), b and c the four basis values of node and parent. Each factor has
 * 10 distinct products, so an interval pair sums 10 x 10 numbers next to one another, which are
 * added to the band once.
 */
#ifndef EBCRL_PAIRS_H
#define EBCRL_PAIRS_H

#include "family.h"

enum { N_PAIRS = ORDER * (ORDER + 1) / 2, PADDED_PAIRS = 12 };

/* Sums of an interval pair: pairs of the node (slow) by pairs of the parent, padded to a multiple
 * of four; then the right-hand side by basis functions, 4 x 4; then the number of rows. */
enum {
  PAIR_RHS = N_PAIRS * PADDED_PAIRS,
  PAIR_COUNT = PAIR_RHS + ORDER * ORDER,
  PAIR_SUMS = PAIR_COUNT + ORDER
};

/* With more knots the sums would not stay in cache; rows then go to the band directly. */
enum { MAX_PAIR_KNOTS = 24 };

/* Doubles for all interval pairs of a state; 0 with too many knots. */
static inline size_t pair_sums_size(int knots) {
  size_t intervals = (size_t)knots - 1;
  return knots <= MAX_PAIR_KNOTS ? intervals * intervals * PAIR_SUMS : 0;
}

/* Adds one row: value, slope and interval of node and parent, weight w. sums: of the row's state.
 */
INLINE void pair_sums_add(double *sums, int knots, const double *value, const double *slope,
                          int first, const double *parent, int parent_first, double w) {
  double *s = sums + ((size_t)first * (size_t)(knots - 1) + (size_t)parent_first) * PAIR_SUMS;
  double c[PADDED_PAIRS] = {0};
  s[PAIR_COUNT] += 1;
  for (int a = 0, k = 0; a < ORDER; a++)
    for (int b = a; b < ORDER; b++, k++)
      c[k] = parent[a] * parent[b];
  for (int a = 0, k = 0; a < ORDER; a++)
    for (int b = a; b < ORDER; b++, k++) {
      double wb = w * value[a] * value[b];
      SIMD for (int t = 0; t < PADDED_PAIRS; t++) s[k * PADDED_PAIRS + t] += wb * c[t];
    }
  for (int a = 0; a < ORDER; a++) {
    double ws = w * slope[a];
    SIMD for (int t = 0; t < ORDER; t++) s[PAIR_RHS + a * ORDER + t] -= ws * parent[t];
  }
}

/* Adds the sums of one state to the lower band (entry (i, j) at band[(i - j) + j * ld]) and the
 * right-hand side. */
void pair_sums_spread(const double *sums, int knots, const family *f, double *band, size_t ld,
                      double *rhs);

#endif
