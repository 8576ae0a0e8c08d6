/* Algorithm 1: EM f-modeling with causal score matching.
 *
 * An iteration, in the order of the paper: pseudo-latents y (4.2); score matching (5.4), (5.5); the
 * latents by Tweedie's formulas (4.4), (4.5); A (4.8); sigma2 (4.9).
 */
#ifndef EBCRL_EM_H
#define EBCRL_EM_H

#include "em_point.h"
#include "em_trace.h"
#include "estep.h"
#include "signs.h"
#include "smoothing.h"

typedef struct {
  int accelerate;
  const int *signs; /* d: by which latents are turned at the end, see signs.h; NULL: not at all */
  void (*tick)(int iteration, double change, void *ctx); /* once an iteration; may not return */
  void *ctx;
} em_settings;

typedef struct {
  estep_state e;
  em_settings set;
  smoothing *smoothing; /* NULL: lambda and eta are given */
  em_trace trace;
  em_point point;
  double change_latents; /* relative, of the last E-step; NAN: no E-step before it */
  double explained;      /* sum of omega E|A z|^2 in units of that of |x|^2 */
  int map_changed;       /* the last E-step chose lambda or eta anew */
  int converged;
  double *before;    /* p x d: the previous A */
  int *sign;         /* d */
  double *sign_work; /* 3 n_domains */
} em_state;

/* Allocates the work arrays; e, set, smoothing, trace and change_latents are the caller's. */
int em_prepare(em_state *em, allocator alloc);

/* Doubles that em_prepare, measurement_new and estep_prepare allocate. */
double em_doubles(double n, double p, double d, double n_domains, int general);

/* Algorithm 1, then one E-step under the final A and sigma2. */
int em_run(em_state *em);

#endif
