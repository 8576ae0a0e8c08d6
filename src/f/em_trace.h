/* The trace of Algorithm 1, and what it tells: how far the fixed-point iteration still has to go,
 * from the sizes of its recent changes, and whether that is little enough. */
#ifndef EBCRL_EM_TRACE_H
#define EBCRL_EM_TRACE_H

#include "accelerator.h"

/* CHANGE: relative size of the EM's step in A and sigma2, and of the move of the latents since the
 * row before; REMAINING: the largest of their distances still to go; STEP: step_kind. */
enum {
  TRACE_SIGMA2,
  TRACE_LOSS,
  TRACE_CHANGE_MIXING,
  TRACE_CHANGE_SIGMA2,
  TRACE_CHANGE_LATENTS,
  TRACE_REMAINING,
  TRACE_STEP,
  TRACE_FLOORED,
  TRACE_COLUMNS
};

/* Their names, in their order. */
extern const char *const em_trace_columns[TRACE_COLUMNS];

/* Changes in the order of the trace. */
enum { CHANGE_MIXING, CHANGE_SIGMA2, CHANGE_LATENTS, N_CHANGES };

typedef struct {
  double *value;          /* max_iter x TRACE_COLUMNS */
  int max_iter;           /* of all iterations, those that a fit goes on from included */
  int iterations;         /* done, the first rows */
  double tol;             /* on the relative distance still to go */
  int chooses;            /* is smoothing chosen from the data? */
  int moves;              /* does A move? */
  int same_map;           /* row since which the EM map is the same */
  double rate[N_CHANGES]; /* by which changes shrink; see plain_rate() */
} em_trace;

/* Takes up the rows that are there. */
void em_trace_resume(em_trace *t);

/* Is smoothing to be chosen in the E-step of an iteration (from 1)? With A held the pseudo-latents
 * stay as they are: once. Else at iterations 1, 2, 4, 8, ...: the EM is another map after each
 * choice, and needs ever longer to settle between them. The E-step after the last iteration (0)
 * chooses only if there was none before it. */
int em_trace_choice_due(const em_trace *t, int iteration);

/* Adds a row, whose REMAINING is filled in; extrapolated: length of the step, if it is one, beyond
 * the EM's. Returns the largest relative change of the iteration. */
double em_trace_record(em_trace *t, const double line[TRACE_COLUMNS], double extrapolated);

/* Does the trace say that the limit is reached? Twice in a row, lest a fast change that has just
 * ended hides a slow one; or nothing moves at all. */
int em_trace_at_limit(const em_trace *t);

#endif
