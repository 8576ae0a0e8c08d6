/* Updates of the mixing matrix given the moments of the latents, (4.7) and (4.8):
 *
 *   cross    p x d   sum omega x z'
 *   second   d x d   sum omega E zz'
 */
#ifndef EBCRL_MIXING_H
#define EBCRL_MIXING_H

#include "linalg.h"
#include "polar.h"

/* A = O D for given lengths D: O is the polar factor of cross D (Procrustes, 4.8). scratch: p x d.
 */
int mixing_procrustes(const double *cross, const double *scale, polar_work *w, double *scratch,
                      double *orthonormal, int *rank_deficient);

/* A = O D: for given D, O = polar(cross D); for given O, D_jj = (O'cross)_jj / second_j; in turn,
 * from the D given, until D stops moving. (4.8) as printed mixes up the two: its D has a square,
 * and pairs singular values with latents they do not belong to unless V = I. second: d, sum omega
 * E z_j^2. A D_jj that is 0 ends in STATUS_SHRUNK. scratch: p x d. */
int mixing_alternate(const double *cross, const double *second, polar_work *w, double *scratch,
                     double *orthonormal, double *scale, int *rank_deficient);

/* A = cross second^-1, the unconstrained minimiser of (4.7). square: d x d scratch. */
int mixing_least_squares(const double *cross, const double *second, int p, int d, double *square,
                         double *mixing);

/* Least squares under columns of length 1, column by column: given the others, the best is the
 * direction of cross_j - sum_k second_kj a_k. next: p scratch. */
void mixing_unit_columns(const double *cross, const double *second, int p, int d, double *next,
                         double *mixing);

/* Columns to length 1. */
void mixing_normalise(double *mixing, int p, int d);

/* Turns columns of O that point against those of the previous A (Appendix A.2: signs are ties), and
 * those of A with them. Cross products made with the old latents no longer belong to a turned
 * column: last of all. */
void mixing_match_signs(const double *previous, double *orthonormal, double *mixing, int p, int d);

#endif
