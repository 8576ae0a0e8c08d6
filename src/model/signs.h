/* Signs of latents. The model leaves them open (Appendix A.2): A and z may trade them. Here is the
 * one rule that chooses, for every kind of fit; measurement.h and R/g_chains.R only make signs
 * agree with those of another A. */
#ifndef EBCRL_SIGNS_H
#define EBCRL_SIGNS_H

#include <stddef.h>

/* What is wanted of a latent where it is targeted; or the rule of the loadings whatever it does. */
typedef enum { SIGN_DOWN = -1, SIGN_LOADINGS = 0, SIGN_UP = 1 } wanted_sign;

/* Domains of the rows of latents. */
typedef struct {
  size_t n;
  int d, n_domains;
  const int *env;     /* n: domain of a row, from 1 */
  const int *targets; /* n_domains x d: 0 or 1 */
} sign_design;

/* 1, or -1 where the sum of the cubes of a column's p loadings is negative: unlike the sign of the
 * largest |loading|, it does not turn where two of opposite signs tie for the largest. */
int signs_of_loadings(const double *column, size_t p);

/* The sign by which to multiply each latent.
 *
 * By the mean shift of a latent: its mean over the rows that target it, less that over the rows of
 * domains without any target, or, where there are none, of domains that do not target it. If the
 * shift is more than SIGN_CLEAR of its standard errors (rows are independent within domains), it
 * gets the wanted sign. Else, and where that is SIGN_LOADINGS, signs_of_loadings() becomes 1.
 *
 *   latents  n x d  least-squares latents, up to positive factors; design: their rows
 *   mixing   p x d
 *   wanted   d      wanted_sign
 *   moments  3 n_domains   scratch
 *   sign     d      out: 1 or -1
 */
#define SIGN_CLEAR 4.0
void signs_choose(const double *latents, const sign_design *design, const double *mixing, size_t p,
                  const int *wanted, double *moments, int *sign);

#endif
