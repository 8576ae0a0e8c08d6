/* Score models: the plan of a fit, its cells and their memory, for the kinds of score there are. */
#ifndef EBCRL_SCORE_H
#define EBCRL_SCORE_H

#include "score_class.h"

/* What a fit will take: families, rows, coefficients and solver of each cell, and bytes, but no
 * memory for coefficients and normal equations. range: 2 x d, or NULL for the data's. */
score_model *score_model_plan(const latent_sample *s, const causal_graph *g, const double *range,
                              const score_settings *set, allocator alloc);

/* The same with all that a fit needs. */
score_model *score_model_new(const latent_sample *s, const causal_graph *g, const double *range,
                             const score_settings *set, allocator alloc);

/* The kind of score of this name, or NULL. */
const score_class *score_class_named(const char *name);

#endif
