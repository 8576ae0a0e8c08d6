#include "bspline.h"

#include <string.h>

int bspline_table_size(int knots) {
  return (knots - 1) * ORDER * ORDER;
}

/* out += factor * (a + b t) * in, for cubic polynomials in t; the degree stays below ORDER. */
static void add_linear_times(double *out, double factor, double a, double b, const double *in) {
  for (int k = 0; k < ORDER; k++) {
    out[k] += factor * a * in[k];
    if (k > 0)
      out[k] += factor * b * in[k - 1];
  }
}

/* Position of knot i of the clamped sequence, in units of the spacing. */
static double knot_at(int i, int knots) {
  int k = i - (ORDER - 1);
  return k < 0 ? 0 : (k > knots - 1 ? knots - 1 : k);
}

/* Cox-de Boor recursion on polynomials in t = position within the interval. */
static void fill_interval(int knots, int interval, double *piece) {
  double basis[ORDER][ORDER] = {{1}}, next[ORDER][ORDER];
  int mu = interval + ORDER - 1;
  for (int degree = 1; degree < ORDER; degree++) {
    memset(next, 0, sizeof next);
    for (int r = 0; r < degree; r++) { /* function r of the lower degree starts at knot first */
      int first = mu - degree + 1 + r;
      double left = knot_at(first, knots), right = knot_at(first + degree, knots);
      double inv = 1 / (right - left);
      add_linear_times(next[r + 1], inv, interval - left, 1, basis[r]);
      add_linear_times(next[r], inv, right - interval, -1, basis[r]);
    }
    memcpy(basis, next, sizeof basis);
  }
  for (int power = 0; power < ORDER; power++)
    for (int f = 0; f < ORDER; f++)
      piece[power * ORDER + f] = basis[f][power];
}

bspline_table bspline_table_fill(int knots, double *storage) {
  for (int m = 0; m < knots - 1; m++)
    fill_interval(knots, m, storage + m * ORDER * ORDER);
  bspline_table t = {knots, knots + ORDER - 2, storage};
  return t;
}
