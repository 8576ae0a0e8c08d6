#include "pairs.h"

/* Index of the pair (a, b) in either order. */
static int pair_index(int a, int b) {
  int lo = a < b ? a : b, hi = a < b ? b : a;
  return lo * ORDER - lo * (lo - 1) / 2 + hi - lo;
}

static void spread_interval(const double *s, size_t base, size_t stride, double *band, size_t ld,
                            double *rhs) {
  for (int a = 0; a < ORDER; a++)
    for (int p = 0; p < ORDER; p++) {
      size_t col = base + (size_t)a * stride + (size_t)p;
      rhs[col] += s[PAIR_RHS + a * ORDER + p];
      for (int b = a; b < ORDER; b++)
        for (int q = b == a ? p : 0; q < ORDER; q++) {
          size_t row = base + (size_t)b * stride + (size_t)q;
          band[row - col + col * ld] += s[pair_index(a, b) * PADDED_PAIRS + pair_index(p, q)];
        }
    }
}

void pair_sums_spread(const double *sums, int knots, const family *f, double *band, size_t ld,
                      double *rhs) {
  int intervals = knots - 1;
  for (int i = 0; i < intervals; i++)
    for (int k = 0; k < intervals; k++) {
      const double *s = sums + (size_t)(i * intervals + k) * PAIR_SUMS;
      if (s[PAIR_COUNT] > 0)
        spread_interval(s, (size_t)i * f->stride[0] + (size_t)k * f->stride[1], f->stride[0], band,
                        ld, rhs);
    }
}
