/* Cubic B-splines on equally spaced knots, with derivatives (Appendix A.1 of the paper).
 *
 * A coordinate has `knots` knots from lo to hi, end knots repeated four times: K = knots + 2
 * functions, four of them non-zero at any point. With equal spacing the pieces do not depend on the
 * range, so one table serves all coordinates. Outside [lo, hi] each function of a score continues
 * linearly: the score then stays linear in the tails and never jumps to 0. Functions of a
 * log-density, whose gradient the score is, continue quadratically to the same end.
 */
#ifndef EBCRL_BSPLINE_H
#define EBCRL_BSPLINE_H

#include "vectorize.h"

#include <stddef.h>

enum { ORDER = 4 }; /* cubic: four non-zero functions at a point, four coefficients a piece */

typedef struct {
  int knots;           /* including both ends, at least 2 */
  int n_basis;         /* K = knots + 2 */
  const double *piece; /* (knots - 1) x ORDER x ORDER: interval, power, function */
} bspline_table;

/* Doubles needed by bspline_table_fill(). */
int bspline_table_size(int knots);
bspline_table bspline_table_fill(int knots, double *storage);

/* The interval that y belongs to; *pos is the position within it (0 to 1), *beyond how far y lies
 * outside the range, both in units of the knot spacing. scale = (knots - 1) / (hi - lo). A y that
 * is not a number counts to the first interval: the index is always one of the table's. */
INLINE int bspline_interval(const bspline_table *t, double lo, double scale, double y, double *pos,
                            double *beyond) {
  double u = (y - lo) * scale;
  int m = u > 0 ? (u < t->knots - 1 ? (int)u : t->knots - 2) : 0;
  *pos = u - m;
  *beyond = 0;
  if (*pos < 0) {
    *beyond = *pos;
    *pos = 0;
  } else if (*pos > 1) {
    *beyond = *pos - 1;
    *pos = 1;
  }
  return m;
}

/* The non-zero functions at y, continued linearly: returns the index of the first of the four.
 * value and slope (each of length 4; slope may be NULL) receive the function and its derivative in
 * y. */
INLINE int bspline_at(const bspline_table *t, double lo, double scale, double y, double *value,
                      double *slope) {
  double pos, beyond;
  int m = bspline_interval(t, lo, scale, y, &pos, &beyond);
  const double *c = t->piece + m * ORDER * ORDER;
  double d[ORDER]; /* first derivative in pos */
  SIMD for (int f = 0; f < ORDER; f++) d[f] = (3 * c[12 + f] * pos + 2 * c[8 + f]) * pos + c[4 + f];
  SIMD for (int f = 0; f < ORDER; f++) value[f] =
      ((c[12 + f] * pos + c[8 + f]) * pos + c[4 + f]) * pos + c[f] + beyond * d[f];
  if (slope) {
    SIMD for (int f = 0; f < ORDER; f++) slope[f] = d[f] * scale;
  }
  return m;
}

/* The same, continued quadratically, with the second derivative. */
INLINE int bspline_curved_at(const bspline_table *t, double lo, double scale, double y,
                             double *value, double *slope, double *curve) {
  double pos, beyond;
  int m = bspline_interval(t, lo, scale, y, &pos, &beyond);
  const double *c = t->piece + m * ORDER * ORDER;
  SIMD for (int f = 0; f < ORDER; f++) {
    double d2 = 6 * c[12 + f] * pos + 2 * c[8 + f];
    double d1 = (3 * c[12 + f] * pos + 2 * c[8 + f]) * pos + c[4 + f];
    double inside = ((c[12 + f] * pos + c[8 + f]) * pos + c[4 + f]) * pos + c[f];
    value[f] = inside + (d1 + 0.5 * d2 * beyond) * beyond;
    slope[f] = (d1 + d2 * beyond) * scale;
    curve[f] = d2 * scale * scale;
  }
  return m;
}

#endif
