/* Rows of x as coordinates in a space: x V - offset, and what else a fit needs of x. */
#ifndef EBCRL_REDUCE_H
#define EBCRL_REDUCE_H

#include "second_moments.h"

/* Doubles of scratch. */
size_t reduce_scratch(const weighted_rows *r, int n_domains);

/* out (n x k) = x v - 1 offset', v p x k; square (n_domains): sum of |x_i|^2 over the rows of each
 * domain. Weights and mean of r are not read. */
void reduce_rows(const weighted_rows *r, int n_domains, const double *v, int k,
                 const double *offset, double *out, double *square, double *scratch);

#endif
