/* When SAEM stops, and how precise it is. */
#ifndef EBCRL_SAEM_STOP_H
#define EBCRL_SAEM_STOP_H

#include "saem_state.h"

size_t saem_stop_fitted_length(const saem_state *s);
size_t saem_stop_watched_length(const saem_state *s);

/* Takes the present parameters into `watched`, or into `fitted`. */
void saem_stop_watch(saem_state *s);
void saem_stop_keep(saem_state *s);

/* Shift of the parameters over the last two thirds of burn-in, from the mean of one third to that
 * of the next, over its Monte-Carlo error and the standard deviation of the parameters over
 * iterations together (root mean squares; the largest of A, sigma2, variances and mechanisms). NaN
 * while it cannot be told. */
double saem_stop_shift(const saem_state *s);

/* Squared Monte-Carlo errors of what saem_stop_keep() takes. */
void saem_stop_errors(const saem_state *s, double *squared);

/* Monte-Carlo over sampling error, root mean squares, of A and of log variances. */
void saem_stop_precision(const saem_state *s, double ratio[2]);

double saem_stop_objective(const saem_state *s);

#endif
