/* M-step for the measurement model x = A z + noise, A = O D (4.7)-(4.9). */
#ifndef EBCRL_MEASUREMENT_H
#define EBCRL_MEASUREMENT_H

#include "linalg.h"

/* psd: A = O Lambda with any columns, see psd.h. fixed may hold such a matrix, too. */
typedef enum {
  MIXING_ORTHONORMAL = 0,
  MIXING_DIAGONAL = 1,
  MIXING_FIXED = 2,
  MIXING_PSD = 3
} mixing_kind;

/* cross = sum omega x z' (p x d), second = sum omega E z_j^2 (d).
 * orthonormal: D = 1 and O = polar factor of cross.
 * diagonal: for given D, O = polar(cross D); for given O, D_jj = (O'cross)_jj / second_j; in turn,
 * from the D given, until D stops moving. (4.8) as printed mixes up the two: its D has a square,
 * and pairs singular values with latents they do not belong to unless V = I.
 * A D_jj that is 0 ends in STATUS_SHRUNK. scratch: p x d. */
int mixing_update_step(const double *cross, const double *second, mixing_kind kind, polar_work *w,
                       double *scratch, double *orthonormal, double *scale, int *rank_deficient);

/* Turns columns of O that point against those of the previous A (Appendix A.2: signs are ties).
 * Cross products made with the old latents no longer belong to a turned column: last of all. */
void match_signs(const double *previous, double *orthonormal, int p, int d);

/* (4.9): (sum_sq + sum_j D_jj^2 second_j - 2 tr(A'cross)) / (n p), at least floor. */
double sigma2_update(double sum_sq, const double *cross, const double *second,
                     const double *orthonormal, const double *scale, size_t n, int p, int d,
                     double floor, int *floored);

#endif
