/* Tweedie's formulas: posterior moments of the latents from the score (4.4), (4.5). */
#ifndef EBCRL_TWEEDIE_H
#define EBCRL_TWEEDIE_H

#include <stddef.h>

/* Rows of one latent: z = (y + eta sigma2 s) / D and variance (sigma2 + sigma2^2 ds) / D^2, which
 * an estimated score can make negative: it is then set to 0. Returns how many were. */
size_t tweedie_moments(const double *y, const double *score, const double *dscore, int rows,
                       double scale, double sigma2, double eta, double *mean, double *variance);

#endif
