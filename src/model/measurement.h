/* Measurement models: their kinds, their memory, and the M-step (4.7)-(4.9). */
#ifndef EBCRL_MEASUREMENT_H
#define EBCRL_MEASUREMENT_H

#include "measurement_kind.h"

/* The kind of this name, or NULL. */
const measurement_kind *measurement_kind_named(const char *name);

/* Allocates all but orthonormal, scale (orthogonal and any columns) and mixing (as they are), which
 * are the caller's, as noise and refresh are. */
measurement measurement_new(const measurement_kind *kind, int p, int d, allocator alloc);

double measurement_doubles(double p, double d, int general);

measurement_task measurement_task_new(const measurement *m, allocator alloc);

double measurement_task_doubles(double d, int general);

/* sigma2 (value, learned), with the bound that belongs to x. */
noise_level measurement_noise_level(double sigma2, int learned, double sum_sq, double entries);

/* E|A z|^2 in sum over rows, from their second moments. */
double measurement_explained(const measurement *m, const double *second);

/* (4.9): what is unexplained, an entry of x, at least the bound; if learned. */
void measurement_update_noise(measurement *m, const double *cross, const double *second);

/* The M-step: A (4.7), (4.8) and sigma2 (4.9) given the moments; before: the previous A. */
int measurement_update(measurement *m, const double *cross, const double *second,
                       const double *before);

/* Numbers in the second moments. */
size_t measurement_second_size(const measurement *m);

projection_noise measurement_noise(const measurement *m);

/* Columns of A up to positive factors, of a size whose powers are representable. */
const double *measurement_loadings(const measurement *m);

/* The point that the EM map moves: that of the kind, and log sigma2 in units of the mean square. */
size_t measurement_point_size(int p, int d);
void measurement_pack(const measurement *m, double *point);
int measurement_unpack(measurement *m, const double *point);

#endif
