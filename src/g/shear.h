/* Which shears of the latents the prior of g-modeling asks for: parameter expansion for a general A
 * with columns of length 1, the counterpart of the turns of an orthonormal one (saem.h).
 *
 * A shear lets z_a gain t z_c. A loses it, a_c - t a_a, so that A z stays, and a_c is brought back
 * to length 1, z_c to match. The derivative of the prior's log density in t is, for a row, u_a z_c
 * - g_ac (u_c z_c + 1),   u the prior's gradient in z, g = A'A, the last part from the change of
 * length. A shear of z_a by a parent is all but the same as another slope of its mechanism: given
 * the mechanisms, A would crawl. So the scoring step is a joint one with what the mechanisms would
 * do in answer, linearly: for each (node, state) its slopes in the parents, level and log variance.
 * Their part of the step is not taken; the next fit of the mechanisms takes it.
 */
#ifndef EBCRL_SHEAR_H
#define EBCRL_SHEAR_H

#include "mechanism.h"

typedef struct {
  const mechanisms *mech;
  const int *tied; /* d x d: is the prior blind to z_a (row) gaining a multiple of z_c? */
  int n_shears;    /* ordered pairs that are not tied, column by column */
  int count; /* derivatives of a row: the shears; for each (node, state) those of its mechanism */
  int thinning; /* products are taken from one block in so many */
} shear_plan;

/* n: rows. */
shear_plan shear_plan_new(const mechanisms *m, const int *tied, size_t n);

/* Length of the sums over rows: of the derivatives (count), of their products (count x count, lower
 * triangle), and of the weights, of all rows and of those in the products. */
size_t shear_sums(const shear_plan *s);

/* Adds a block, whose means must be up to date. wide: BLOCK_ROWS x count scratch; gradient: d x
 * BLOCK_ROWS scratch. */
void shear_add(const shear_plan *s, const double *gram, const double *omega, const latent_block *b,
               double *gradient, double *wide, double *sums);

/* Latents that can be sheared: with more the step would need too many derivatives. */
enum { MAX_SHEARED = 20 };

/* T (d x d) = I + step x the joint scoring step, its shears within a bound, and its inverse; work:
 * d x d. Overwrites the sums. */
int shear_step(const shear_plan *s, double *sums, double step, double *t, double *inverse,
               double *work);

#endif
