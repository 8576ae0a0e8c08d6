/* Which turns of the latents the prior of g-modeling asks for: parameter expansion for an A with
 * orthogonal columns (Liu, Rubin and Wu 1998).
 *
 * A and the latents turn together, A R and R'z, which leaves A z alone and is judged by the prior:
 * one scoring step a plane, shortened where planes share information. Where columns differ in
 * length, A = O D, it is O and D z that turn.
 *
 *   t_ab       u_a z_b - u_b z_a, u the prior's gradient in z: the derivative of a row's log
 * density in the angle at which w_a gains t w_b and w_b loses t w_a, w = D z sums       3 d x d:
 * sum omega t; sum omega t^2, the information on a turn in the plane of a and b; and sum omega t
 * (sum over planes of t w), w = stiffest
 */
#ifndef EBCRL_TURN_H
#define EBCRL_TURN_H

#include "mechanism.h"

typedef struct {
  const mechanisms *mech;
  const double *length; /* d: of the columns of A */
  double *stiffest; /* d x d: turns of all planes together, see safe_share(); kept between runs */
  double *rotation; /* d x d: by which rows of z turn */
  double *inverse;  /* d x d: by which A turns */
} turn_plan;

turn_plan turn_plan_new(const mechanisms *m, const double *length, allocator alloc);

size_t turn_sums(const turn_plan *t);

/* Adds a block, whose means must be up to date. gradient: d x BLOCK_ROWS scratch. */
void turn_add(const turn_plan *t, const double *omega, const latent_block *b, double *gradient,
              double *sums);

/* The rotation of the latents and what undoes it in A, from the sums. */
void turn_step(turn_plan *t, const double *sums);

/* m (rows x d) = m R. block: d x BLOCK_ROWS scratch. */
void turn_columns(double *m, size_t rows, const double *r, int d, double *block);

/* m (d x d) = its transpose. */
void turn_over(double *m, int d);

#endif
