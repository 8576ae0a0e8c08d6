#include "line_search.h"

#include <math.h>

double line_search_golden(double (*f)(double at, void *context), void *context, double lo,
                          double hi, int steps, double *value) {
  const double ratio = (sqrt(5) - 1) / 2;
  double left = hi - ratio * (hi - lo), right = lo + ratio * (hi - lo);
  double f_left = f(left, context), f_right = f(right, context);
  for (int k = 0; k < steps; k++) {
    if (f_left < f_right) {
      hi = right;
      right = left;
      f_right = f_left;
      left = hi - ratio * (hi - lo);
      f_left = f(left, context);
    } else {
      lo = left;
      left = right;
      f_left = f_right;
      right = lo + ratio * (hi - lo);
      f_right = f(right, context);
    }
  }
  *value = f_left < f_right ? f_left : f_right;
  return f_left < f_right ? left : right;
}
