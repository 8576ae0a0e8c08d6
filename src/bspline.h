/* Cubic B-splines on equally spaced knots, with derivatives (Appendix A.1 of the paper).
 *
 * A coordinate has `knots` knots from lo to hi, end knots repeated four times: K = knots + 2
 * functions, four of them non-zero at any point. With equal spacing the pieces do not depend on the
 * range, so one table serves all coordinates. Outside [lo, hi] each function continues linearly:
 * the score then stays linear in the tails and never jumps to 0.
 */
#ifndef EBCRL_BSPLINE_H
#define EBCRL_BSPLINE_H

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
int bspline_at(const bspline_table *t, double lo, double scale, double y, double *value,
               double *slope, double *curve);

#endif
