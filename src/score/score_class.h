/* A kind of score: what Algorithm 1 needs to know of grad log f_a(y), on a score_model (cells.h).
 *
 * The causal score (5.2) is in score_causal.c, the Markov score (5.1) in score_markov.c. All that
 * depends on the kind is a field; a further one is a file of its own and a line in score.c's table.
 */
#ifndef EBCRL_SCORE_CLASS_H
#define EBCRL_SCORE_CLASS_H

#include "cells.h"

struct score_class {
  const char *name;
  int joint;  /* all cells are fitted as one term system, and share a penalty weight */
  int curved; /* the score is a gradient of splines: they take second derivatives */
  int (*fit)(score_model *m, const latent_sample *s);
  /* The rows in t->block: score and dscore (own derivative) are d x BLOCK_ROWS, loss 2 d sums of
   * omega (s^2 / 2 + ds), added to. jacobian: NULL, or d x d x BLOCK_ROWS, the derivative of
   * component k in coordinate l at [(l * d + k) * BLOCK_ROWS + row]. All without the reference. */
  void (*evaluate)(const score_model *m, const latent_sample *s, task_work *t, size_t start,
                   int rows, double *score, double *dscore, double *jacobian, double *loss);
  /* held_out() for cells that are in no term system; NULL if there are none. */
  void (*held_out)(score_model *m, const latent_sample *train, const latent_sample *test,
                   const double *lambda, int n_weights, held_out_sums *sums);
};

#endif
