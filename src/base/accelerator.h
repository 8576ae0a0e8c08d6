/* Anderson acceleration of a fixed-point map x -> F(x), which keeps the fixed point that the plain
 * iteration goes to.
 *
 *   x, image   size        a point and F of it
 *   d_image    m x size    differences of the last m + 1 images, newest anywhere in the ring
 *   d_residual m x size    the same of the residuals F(x) - x
 *
 * The next point is F(x) - d_image g, where g makes the residual less d_residual g smallest (least
 * squares): a secant approximation to Newton's method. There is no likelihood to watch, and far
 * from its limit the map has other fixed points, some of which the plain iteration leaves. Hence
 * four safeguards: extrapolation begins only where the plain residuals fall steadily and their
 * rate says that the limit is near; a step must go at least as far along the residual as the plain
 * one does; it is capped; and where the residual at the point reached has grown, that point is
 * dropped for the plain step that it replaced.
 */
#ifndef EBCRL_ACCELERATOR_H
#define EBCRL_ACCELERATOR_H

#include "workspace.h"

enum { ANDERSON_MEMORY = 5, SETTLING = 5 }; /* differences kept; falling residuals before */

typedef enum { STEP_PLAIN = 0, STEP_EXTRAPOLATED = 1, STEP_REJECTED = 2 } step_kind;

typedef struct {
  size_t size;
  double unit;      /* norm of x, by which distances are measured */
  int stored, next; /* differences held, and the slot of the next one */
  int n_norm;       /* entries of norm; 0: no previous point */
  double *norm;     /* SETTLING + 1: the last residual norms, newest last */
  int engaged;      /* the limit is near */
  step_kind last;   /* how the present x was reached */
  double *image;    /* size: F of the previous point */
  double *residual; /* size */
  double *fresh;    /* size: residual of the present point */
  double *d_image, *d_residual;
  double *least_squares; /* (m + 1) x (size + m): differences and residual, each with the ridge */
} accelerator;

accelerator accelerator_new(size_t size, double unit, allocator alloc);

/* Doubles that accelerator_new allocates. */
double accelerator_doubles(double size);

/* Forgets all points: F has become another map. */
void accelerator_restart(accelerator *a);

/* The point to go on from, given x and image = F(x); next must not overlap them. PLAIN: next is the
 * image. EXTRAPOLATED: beyond it. REJECTED: x was extrapolated and is dropped; next is the image of
 * the point before it. */
step_kind accelerator_step(accelerator *a, const double *x, const double *image, double *next);

#endif
