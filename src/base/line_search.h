/* Golden section: the least value of a function on an interval, one evaluation a step. */
#ifndef EBCRL_LINE_SEARCH_H
#define EBCRL_LINE_SEARCH_H

/* Returns the point; *value is the function there. */
double line_search_golden(double (*f)(double at, void *context), void *context, double lo,
                          double hi, int steps, double *value);

#endif
