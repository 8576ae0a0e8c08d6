/* Cubic B-splines on equally spaced knots, with derivatives (Appendix A.1 of the paper).
 *
 * A coordinate has `knots` knots from lo to hi, end knots repeated four times: K = knots + 2
 * functions, four of them non-zero at any point. With equal spacing the pieces do not depend on the
 * range, so one table serves all coordinates. Outside [lo, hi] each function continues linearly:
 * the score then stays linear in the tails and never jumps to 0.
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

/* The non-zero functions at y: returns the index of the first of the four. value, slope and curve
 * (each of length 4; slope and curve may be NULL) receive the function and its first and second
 * derivative in y. scale = (knots - 1) / (hi - lo). */
INLINE int bspline_at(const bspline_table *t, double lo, double scale, double y, double *value,
                      double *slope, double *curve) {
  double u = (y - lo) * scale;
  int m = u < 0 ? 0 : (u >= t->knots - 1 ? t->knots - 2 : (int)u);
  double pos = u - m, beyond = 0;
  if (pos < 0) {
    beyond = pos;
    pos = 0;
  } else if (pos > 1) {
    beyond = pos - 1;
    pos = 1;
  }
  const double *c = t->piece + m * ORDER * ORDER;
  double d[ORDER]; /* first derivative in pos */
  SIMD for (int f = 0; f < ORDER; f++) d[f] = (3 * c[12 + f] * pos + 2 * c[8 + f]) * pos + c[4 + f];
  SIMD for (int f = 0; f < ORDER; f++) value[f] =
      ((c[12 + f] * pos + c[8 + f]) * pos + c[4 + f]) * pos + c[f] + beyond * d[f];
  if (slope) {
    SIMD for (int f = 0; f < ORDER; f++) slope[f] = d[f] * scale;
  }
  if (curve)
    for (int f = 0; f < ORDER; f++)
      curve[f] = beyond != 0 ? 0 : (6 * c[12 + f] * pos + 2 * c[8 + f]) * scale * scale;
  return m;
}

#endif
