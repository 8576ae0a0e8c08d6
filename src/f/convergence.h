/* How far a fixed-point iteration still has to go, from the sizes of its recent changes. */
#ifndef EBCRL_CONVERGENCE_H
#define EBCRL_CONVERGENCE_H

#include "accelerate.h"

/* The factor by which plain steps shrink the change, as it is known at row t; NAN: not yet.
 * change: relative change in rows 0 .. t of a trace; step: the step that each row took (step_kind);
 * lag: rows by which a change follows the step that made it; since: row since which steps are those
 * of the same map; before: the rate known at row t - 1.
 * Of successive changes made by plain steps, the larger of the last ratio and of the mean one over
 * at most RATE_ROWS, at most RATE_MAX: changes at the level of rounding do not shrink. Where there
 * are fewer than RATE_ROWS ratios, the larger of that and before. */
double plain_rate(const double *change, const double *step, int since, int t, int lag,
                  double before);

/* What is left of the way after a change that goes on to shrink: change rate / (1 - rate). */
double distance_left(double change, double rate);

#endif
