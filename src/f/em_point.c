#include "em_point.h"

#include <R_ext/BLAS.h>
#include <math.h>

em_point em_point_new(int p, int d, int accelerate, allocator alloc) {
  size_t size = measurement_point_size(p, d);
  em_point a = {.ahead = accelerator_new(size, sqrt(d), alloc),
                .from = alloc(size, sizeof(double)),
                .image = alloc(size, sizeof(double)),
                .goal = alloc(size, sizeof(double)),
                .accelerate = accelerate};
  return a;
}

double em_point_doubles(double p, double d) {
  double size = p * d + d + 1;
  return accelerator_doubles(size) + 3 * size;
}

int em_point_step(em_point *a, measurement *m, int map_changed, step_kind *step) {
  *step = STEP_PLAIN;
  measurement_pack(m, a->image);
  if (!a->accelerate)
    return STATUS_OK;
  if (map_changed)
    accelerator_restart(&a->ahead);
  *step = accelerator_step(&a->ahead, a->from, a->image, a->goal);
  a->rejected += *step == STEP_REJECTED;
  return *step == STEP_PLAIN ? STATUS_OK : measurement_unpack(m, a->goal);
}

double em_point_distance(const em_point *a) {
  size_t last = a->ahead.size - 1;
  double square = 0;
  for (size_t g = 0; g < last; g++)
    square += (a->goal[g] - a->from[g]) * (a->goal[g] - a->from[g]);
  return fmax(sqrt(square) / a->ahead.unit, fabs(expm1(a->goal[last] - a->from[last])));
}

int em_point_give_up(em_point *a, measurement *m) {
  return a->ahead.last == STEP_EXTRAPOLATED ? measurement_unpack(m, a->image) : STATUS_OK;
}

void em_point_last_step(const em_point *a, int p, int d, double *turn, double *growth) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)
  ("T", "N", &d, &d, &p, &one, a->from, &p, a->image, &p, &zero, turn, &d FCONE FCONE);
  for (size_t j = 0, at = (size_t)p * (size_t)d; j < (size_t)d; j++, at++)
    growth[j] = a->image[at] - a->from[at];
}
