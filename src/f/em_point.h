/* What the EM map of Algorithm 1 moves, as a vector, and its acceleration (accelerator.h). */
#ifndef EBCRL_EM_POINT_H
#define EBCRL_EM_POINT_H

#include "accelerator.h"
#include "measurement.h"

typedef struct {
  accelerator ahead;
  double *from, *image, *goal; /* the point before the EM's step, after it, and where next */
  int accelerate;              /* only where D or Lambda does not move */
  int rejected;                /* extrapolations taken back */
} em_point;

em_point em_point_new(int p, int d, int accelerate, allocator alloc);

double em_point_doubles(double p, double d);

/* Where to go on from, `from` and the model having the point before the EM's step and after it.
 * map_changed: the step was that of another map than the ones before. */
int em_point_step(em_point *a, measurement *m, int map_changed, step_kind *step);

/* Relative length of an extrapolation, in A or in sigma2. */
double em_point_distance(const em_point *a);

/* An extrapolation that no iteration has checked is given up for the EM's step. */
int em_point_give_up(em_point *a, measurement *m);

/* The last EM step: turn (d x d) = O'O of before and after; growth (d) = that of log D. */
void em_point_last_step(const em_point *a, int p, int d, double *turn, double *growth);

#endif
