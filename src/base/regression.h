/* Least-squares regression of a variable on others, from their covariance. */
#ifndef EBCRL_REGRESSION_H
#define EBCRL_REGRESSION_H

/* Variables whose residual variance given those before them is not above least (times scale[j],
 * where scale is not NULL) are collinear: they add nothing. */
typedef struct {
  double least;
  const double *scale;
} regression_limit;

/* The last of k variables on those before it. a (k x k, by rows, lower triangle): their covariance,
 * becomes its Cholesky factor. slopes (k - 1): NULL where they are not wanted; 0 of collinear
 * variables, which are added to *left_out (or NULL). Returns the residual variance, as it comes
 * out: of a covariance less that of noise it may be negative. */
double regression_last(double *a, int k, regression_limit limit, double *slopes, int *left_out);

#endif
