/* Conjugate gradients for a term system, without its matrix.
 *
 * A product with the Gram matrix is a pass over the rows: outputs from coefficients, and back. The
 * preconditioner treats each term by itself as if its coordinates were independent and uniform: the
 * Gram matrix is then a sum of matrices on one coordinate each, as the penalty is (kronecker.h).
 */
#ifndef EBCRL_TERM_CG_H
#define EBCRL_TERM_CG_H

#include "term_system.h"

term_cg *term_cg_new(const term_system *t, const score_model *m, allocator alloc);
double term_cg_bytes(const term_system *t, int n_basis);

/* Solves from t->theta on, given t->rhs, t->trace and t->ridge. */
int term_cg_solve(const score_model *m, const latent_sample *s, term_system *t);

/* The K x K sums omega b'b'' (slopes) of a term's coordinate over its rows, lower triangle: where
 * term_cg_solve() expects them; and the mean over rows of the squared values of the others. */
double *term_cg_stiffness(term_cg *c, int term, int k);

#endif
