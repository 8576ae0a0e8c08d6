#include "convergence.h"

#include <math.h>

enum { RATE_ROWS = 5 };
static const double RATE_MAX = 0.9999;

double plain_rate(const double *change, const double *step, int since, int t, int lag,
                  double before) {
  int from = t;
  while (from > since + lag && t - from < RATE_ROWS && step[from - 1] == STEP_PLAIN &&
         (lag == 0 || step[from - 2] == STEP_PLAIN))
    from--;
  if (from == t || !(change[from] > 0) || !(change[t - 1] > 0))
    return before;
  double last = change[t] / change[t - 1], mean = pow(change[t] / change[from], 1.0 / (t - from));
  double rate = fmin(fmax(last, mean), RATE_MAX);
  return t - from < RATE_ROWS ? fmax(rate, before) : rate;
}

double distance_left(double change, double rate) {
  if (change == 0)
    return 0;
  return isnan(rate) ? INFINITY : change * rate / (1 - rate);
}
