#include "em_trace.h"

#include <math.h>

enum { RATE_ROWS = 5 };
static const double RATE_MAX = 0.9999;

const char *const em_trace_columns[TRACE_COLUMNS] = {
    "sigma2",         "loss",      "change_mixing", "change_sigma2",
    "change_latents", "remaining", "step",          "floored"};

static double *column(const em_trace *t, int which) {
  return t->value + (size_t)which * (size_t)t->max_iter;
}

int em_trace_choice_due(const em_trace *t, int iteration) {
  if (!t->chooses)
    return 0;
  if (iteration == 0)
    return t->iterations == 0;
  return iteration == 1 || (t->moves && (iteration & (iteration - 1)) == 0);
}

/* The factor by which plain steps shrink the change, as it is known at row t; NAN: not yet.
 * change: relative change in rows 0 .. t of a trace; step: the step that each row took (step_kind);
 * lag: rows by which a change follows the step that made it; since: row since which steps are those
 * of the same map; before: the rate known at row t - 1.
 * Of successive changes made by plain steps, the larger of the last ratio and of the mean one over
 * at most RATE_ROWS, at most RATE_MAX: changes at the level of rounding do not shrink. Where there
 * are fewer than RATE_ROWS ratios, the larger of that and before. */
static double plain_rate(const double *change, const double *step, int since, int t, int lag,
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

/* What is left of the way after a change that goes on to shrink: change rate / (1 - rate). */
static double distance_left(double change, double rate) {
  if (change == 0)
    return 0;
  return isnan(rate) ? INFINITY : change * rate / (1 - rate);
}

/* Rates of the three changes as they are known at a row. */
static void update_rates(em_trace *t, int row) {
  const double *step = column(t, TRACE_STEP);
  if (row == 0 || em_trace_choice_due(t, row + 1))
    t->same_map = row;
  for (int k = 0; k < N_CHANGES; k++)
    t->rate[k] = plain_rate(column(t, TRACE_CHANGE_MIXING + k), step, t->same_map, row,
                            k == CHANGE_LATENTS, row > 0 ? t->rate[k] : NAN);
}

void em_trace_resume(em_trace *t) {
  for (int row = 0; row < t->iterations; row++)
    update_rates(t, row);
}

/* Largest of the relative distances that A, sigma2 and the latents have to go at a row. An
 * extrapolation itself estimates what was left. */
static double distance_to_go(em_trace *t, int row, double extrapolated) {
  const double *step = column(t, TRACE_STEP);
  double change[N_CHANGES], left = 0;
  for (int k = 0; k < N_CHANGES; k++)
    change[k] = column(t, TRACE_CHANGE_MIXING + k)[row];
  update_rates(t, row);
  if (change[CHANGE_MIXING] == 0 && change[CHANGE_SIGMA2] == 0)
    return 0;
  if (step[row] == STEP_REJECTED)
    return INFINITY;
  if (step[row] == STEP_EXTRAPOLATED)
    left = extrapolated;
  for (int k = 0; k < CHANGE_LATENTS; k++)
    left = fmax(left, distance_left(change[k], t->rate[k]));
  if (row == 0)
    return left;
  return fmax(left, step[row - 1] == STEP_EXTRAPOLATED
                        ? change[CHANGE_LATENTS]
                        : distance_left(change[CHANGE_LATENTS], t->rate[CHANGE_LATENTS]));
}

double em_trace_record(em_trace *t, const double line[TRACE_COLUMNS], double extrapolated) {
  int row = t->iterations++;
  for (int k = 0; k < TRACE_COLUMNS; k++)
    column(t, k)[row] = line[k];
  column(t, TRACE_REMAINING)[row] = distance_to_go(t, row, extrapolated);
  return fmax(fmax(line[TRACE_CHANGE_MIXING], line[TRACE_CHANGE_SIGMA2]),
              line[TRACE_CHANGE_LATENTS]);
}

int em_trace_at_limit(const em_trace *t) {
  const double *left = column(t, TRACE_REMAINING);
  int row = t->iterations - 1;
  return row >= 0 && left[row] < t->tol && (left[row] == 0 || (row > 0 && left[row - 1] < t->tol));
}
