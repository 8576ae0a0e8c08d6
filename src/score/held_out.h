/* Score matching on held-out rows: the sums that the choice of smoothing is made from. */
#ifndef EBCRL_HELD_OUT_H
#define EBCRL_HELD_OUT_H

#include "score_class.h"

/* Fits the cells to `train` under weights lambda (2 d x n_weights, ascending) and sums over `test`.
 * Both have the model's rows, in the ranges that the model has; only weights differ. Fitted
 * coefficients are left as they were. */
void held_out(score_model *m, const latent_sample *train, const latent_sample *test,
              const double *lambda, int n_weights, held_out_sums *sums);

#endif
